// Each peer's longest match for an address, now or at a given time.
//
//   bgpledger shell --quiet --eval 'var address = "203.0.113.7"' --file conf/mongosh/lookup.js
//   bgpledger shell --quiet --eval 'var address = "203.0.113.7", at = ISODate("2026-11-23T19:19:00Z")' \
//     --file conf/mongosh/lookup.js

const moment = globalThis.at ?? new Date();
const order = (a, b) => a.ts - b.ts || a._id.toString().localeCompare(b._id.toString());

// Few prefixes contain an address, so they can be queried by name. A URL normalises an IPv6 address.
const [bits, width, sign] = address.includes(":") ? [128, 16, ":"] : [32, 8, "."];
const short = (text) => (bits === 128 ? new URL(`http://[${text}]`).hostname.slice(1, -1) : text);
const [head, tail] = short(address).split("::").map((part) => part.split(sign).filter((one) => one));
const filled = tail ? [...head, ...Array(8 - head.length - tail.length).fill("0"), ...tail] : head;
const parts = filled.map((one) => parseInt(one, bits === 128 ? 16 : 10));
const candidates = Array.from({ length: bits + 1 }, (_, length) => {
  const network = parts.map((part, at) => {
    const free = Math.min(Math.max(width * (at + 1) - length, 0), width);
    return (part - (part % 2 ** free)).toString(bits === 128 ? 16 : 10);
  });
  return `${short(network.join(sign))}/${length}`;
});

const began = { since: { $lte: moment } };
const up = [
  ...db.sessions.find({ ...began, until: null }).toArray(),
  ...db.sessions.find({ ...began, until: { $gt: moment } }).toArray(),
];
for (const { _id, peer, since } of up.sort((a, b) => a.peer.address.localeCompare(b.peer.address))) {
  const said = { "peer.address": peer.address, ts: { $gte: since, $lte: moment } };
  const updates = new Map();
  for (const kind of ["announce", "withdraw"])
    db.updates
      .find({ [`${kind}.nlri`]: { $in: candidates }, ...said })
      .forEach((update) => updates.set(update._id.toString(), update));
  const name = (prefix, { family, rd, path_id }) => `${prefix} ${family} ${rd} ${path_id}`;
  const standing = new Map();
  for (const { session, attributes, announce, withdraw } of [...updates.values()].sort(order)) {
    if (String(session) !== String(_id)) continue;
    const each = (groups, act) =>
      (groups ?? []).forEach((group) =>
        (group.nlri ?? []).filter((one) => candidates.includes(one)).forEach((one) => act(one, group)),
      );
    each(withdraw, (prefix, group) => standing.delete(name(prefix, group)));
    each(announce, (prefix, group) =>
      standing.set(name(prefix, group), { prefix, path: attributes.as_path, next_hop: group.next_hop }),
    );
  }
  const length = ({ prefix }) => Number(prefix.split("/")[1]);
  const longest = Math.max(...[...standing.values()].map(length));
  for (const route of standing.values())
    if (length(route) === longest)
      print(
        [peer.address.padEnd(15), `AS${peer.asn}`.padEnd(12), route.prefix, `${route.path} via ${route.next_hop}`].join(" "),
      );
}
