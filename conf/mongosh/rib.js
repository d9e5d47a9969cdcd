// Each peer's route to a prefix, now or at a given time.
//
//   bgpledger shell --quiet --eval 'var prefix = "203.0.113.0/24"' --file conf/mongosh/rib.js
//   bgpledger shell --quiet --eval 'var prefix = "203.0.113.0/24", at = ISODate("2026-11-23T19:19:00Z")' \
//     --file conf/mongosh/rib.js

const moment = globalThis.at ?? new Date();
const order = (a, b) => a.ts - b.ts || a._id.toString().localeCompare(b._id.toString());

// The end of a session withdraws its routes, so only sessions that were up count.
const began = { since: { $lte: moment } };
const up = [
  ...db.sessions.find({ ...began, until: null }).toArray(),
  ...db.sessions.find({ ...began, until: { $gt: moment } }).toArray(),
];
for (const { _id, peer, since } of up.sort((a, b) => a.peer.address.localeCompare(b.peer.address))) {
  // Two questions and not one `$or`: each has its index.
  const said = { "peer.address": peer.address, ts: { $gte: since, $lte: moment } };
  const updates = [
    ...db.updates.find({ "announce.nlri": prefix, ...said }).toArray(),
    ...db.updates.find({ "withdraw.nlri": prefix, "announce.nlri": { $ne: prefix }, ...said }).toArray(),
  ];
  // A prefix may stand in several families, VPNs (RFC 4364) and paths (RFC 7911).
  const name = ({ family, rd, path_id }) => `${family} ${rd} ${path_id}`;
  const standing = new Map();
  for (const { session, ts, attributes, announce, withdraw } of updates.sort(order)) {
    if (String(session) !== String(_id)) continue;
    const groups = (all) => (all ?? []).filter(({ nlri }) => (nlri ?? []).includes(prefix));
    for (const group of groups(withdraw)) standing.delete(name(group));
    for (const group of groups(announce)) standing.set(name(group), { ts, attributes, ...group });
  }
  for (const { ts, rd, path_id, next_hop, attributes } of standing.values())
    print(
      [
        peer.address.padEnd(15),
        `AS${peer.asn}`.padEnd(12),
        ...(rd === undefined ? [] : [`RD ${rd}`]),
        ...(path_id === undefined ? [] : [`path ${path_id}`]),
        `${attributes.as_path} via ${next_hop} since ${ts.toISOString()}`,
      ].join(" "),
    );
}
