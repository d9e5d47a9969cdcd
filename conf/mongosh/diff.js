// Which routes of a peer, or of all peers to one prefix, changed between two times.
//
//   bgpledger shell --quiet --eval 'var from = ISODate("2026-11-23T19:00:00Z"), peer = "192.0.2.1"' \
//     --file conf/mongosh/diff.js
//   bgpledger shell --quiet --eval 'var from = ..., to = ..., prefix = "203.0.113.0/24"' \
//     --file conf/mongosh/diff.js

const asked = { prefix: globalThis.prefix, peer: globalThis.peer, to: globalThis.to ?? new Date() };
const order = (a, b) => a.ts - b.ts || a._id.toString().localeCompare(b._id.toString());

// The routes at a given time: all UPDATEs of the sessions that were up then, folded.
const tableAt = (moment) => {
  const began = { since: { $lte: moment }, ...(asked.peer && { "peer.address": asked.peer }) };
  const up = [
    ...db.sessions.find({ ...began, until: null }).toArray(),
    ...db.sessions.find({ ...began, until: { $gt: moment } }).toArray(),
  ];
  const standing = new Map(); // peer, prefix, family, distinguisher and path ID -> path and next hop
  for (const { _id, peer, since } of up) {
    const said = { "peer.address": peer.address, ts: { $gte: since, $lte: moment } };
    const questions = asked.prefix
      ? [{ "announce.nlri": asked.prefix }, { "withdraw.nlri": asked.prefix, "announce.nlri": { $ne: asked.prefix } }]
      : [{}];
    const updates = questions.flatMap((question) => db.updates.find({ ...question, ...said }).toArray());
    for (const { session, attributes, announce, withdraw } of updates.sort(order)) {
      if (String(session) !== String(_id)) continue;
      const each = (groups, act) =>
        (groups ?? []).forEach((group) =>
          (group.nlri ?? []).forEach((one) => {
            const { family, rd, path_id } = group;
            const rest = [
              ...(family.endsWith(" unicast") ? [] : [family]),
              ...(rd === undefined ? [] : [`RD ${rd}`]),
              ...(path_id === undefined ? [] : [`path ${path_id}`]),
            ];
            if (!asked.prefix || one === asked.prefix) act([peer.address.padEnd(15), one, ...rest].join(" "), group);
          }),
        );
      each(withdraw, (route) => standing.delete(route));
      each(announce, (route, { next_hop }) => standing.set(route, `${attributes.as_path} via ${next_hop}`));
    }
  }
  return standing;
};

const [before, after] = [tableAt(globalThis.from), tableAt(asked.to)];
for (const route of [...new Set([...before.keys(), ...after.keys()])].sort()) {
  const [old, now] = [before.get(route), after.get(route)];
  if (!old) print(`${route} appeared ${now}`);
  else if (!now) print(`${route} went     ${old}`);
  else if (old !== now) print(`${route} changed  ${old} -> ${now}`);
}
