// Prefixes that more than one AS has originated in the last hours, and who announced which: a hijack, or anycast
// that nobody told you about.
//
//   bgpledger shell --quiet --eval 'var hours = 24' --file examples/several-origins.js

const since = new Date(Date.now() - globalThis.hours * 3600e3);
const origins = new Map(); // prefix -> origin AS -> peers that announced it so

for (const peer of db.sessions.distinct("peer.address")) {
  const said = { "peer.address": peer, ts: { $gte: since }, origin_asns: { $exists: true } };
  db.updates.find(said, { announce: 1, origin_asns: 1 }).forEach(({ announce, origin_asns }) => {
    for (const prefix of announce.flatMap(({ nlri }) => nlri ?? [])) {
      for (const asn of origin_asns) {
        if (!origins.has(prefix)) origins.set(prefix, new Map());
        const peers = origins.get(prefix);
        peers.set(asn, (peers.get(asn) ?? new Set()).add(peer));
      }
    }
  });
}

for (const [prefix, peers] of [...origins].sort()) {
  if (peers.size < 2) continue;
  print(prefix);
  for (const [asn, those] of [...peers].sort()) print(`  AS${asn} by ${[...those].sort().join(", ")}`);
}
