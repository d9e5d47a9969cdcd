// What peers announced with an AS as the origin, in the last hours.
//
//   bgpledger shell --quiet --eval 'var asn = 64511, hours = 24' --file conf/mongosh/origin.js

const since = new Date(Date.now() - (globalThis.hours ?? 24) * 3600e3);
db.updates
  .find({ origin_asns: globalThis.asn, ts: { $gte: since } })
  .sort({ ts: -1 })
  .forEach(({ ts, peer, announce, attributes }) =>
    announce.forEach(({ nlri = [] }) =>
      print([ts.toISOString(), peer.address.padEnd(15), `AS${peer.asn}`.padEnd(12), attributes.as_path, nlri.join(" ")].join(" ")),
    ),
  );
