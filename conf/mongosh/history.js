// What every peer said of a prefix, oldest first, and which sessions' ends took it away.
//
//   mongosh "$URI/bgpledger" --quiet --eval 'var prefix = "203.0.113.0/24"' --file conf/mongosh/history.js

const show = (ts, peer, what, rest) =>
  print([ts.toISOString(), peer.address.padEnd(15), `AS${peer.asn}`.padEnd(12), what.padEnd(11), rest].join(" "));

// Two questions and not one `$or`: each has its index.
const updates = [
  ...db.updates.find({ "announce.nlri": prefix }).toArray(),
  ...db.updates.find({ "withdraw.nlri": prefix, "announce.nlri": { $ne: prefix } }).toArray(),
].sort((a, b) => a.ts - b.ts || a._id.toString().localeCompare(b._id.toString()));

const standing = new Map(); // peer -> session, while the route stands
const rows = updates.map((update) => {
  const routes = (update.announce ?? []).find((group) => (group.nlri ?? []).includes(prefix));
  standing.set(update.peer.address, routes ? update.session : undefined);
  return routes
    ? [update.ts, update.peer, "announce", `${update.attributes.as_path} via ${routes.next_hop}`]
    : [update.ts, update.peer, "withdraw", ""];
});
for (const session of standing.values()) {
  const ended = session && db.sessions.findOne({ _id: session, until: { $exists: true } });
  if (ended) rows.push([ended.until, ended.peer, "session end", ended.reason ?? ""]);
}
rows.sort((a, b) => a[0] - b[0]).forEach((row) => show(...row));
