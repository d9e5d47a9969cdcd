// What every peer said about a prefix, oldest first, and the sessions whose end withdrew it.
//
//   bgpledger shell --quiet --eval 'var prefix = "203.0.113.0/24"' --file conf/mongosh/history.js

const show = (ts, peer, what, rest) =>
  print([ts.toISOString(), peer.address.padEnd(15), `AS${peer.asn}`.padEnd(12), what.padEnd(11), rest].join(" "));

// Two queries instead of one `$or`: each has its own index.
const updates = [
  ...db.updates.find({ "announce.nlri": prefix }).toArray(),
  ...db.updates.find({ "withdraw.nlri": prefix, "announce.nlri": { $ne: prefix } }).toArray(),
].sort((a, b) => a.ts - b.ts || a._id.toString().localeCompare(b._id.toString()));

const standing = new Map(); // peer, family, distinguisher and path ID -> session, while the route stands
const rows = [];
for (const { ts, peer, session, attributes, announce, withdraw } of updates) {
  const groups = (all) => (all ?? []).filter(({ nlri }) => (nlri ?? []).includes(prefix));
  const name = ({ family, rd, path_id }) => `${peer.address} ${family} ${rd} ${path_id}`;
  for (const group of groups(withdraw)) {
    standing.delete(name(group));
    rows.push([ts, peer, "withdraw", attributes?.error ?? ""]); // of malformed attributes (RFC 7606): the peer announced it
  }
  for (const group of groups(announce)) {
    standing.set(name(group), session);
    rows.push([ts, peer, "announce", `${attributes.as_path} via ${group.next_hop}`]);
  }
}
for (const session of new Set(standing.values())) {
  const ended = session && db.sessions.findOne({ _id: session, until: { $exists: true } });
  if (ended) rows.push([ended.until, ended.peer, "session end", ended.reason ?? ""]);
}
rows.sort((a, b) => a[0] - b[0]).forEach((row) => show(...row));
