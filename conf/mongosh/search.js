// What was announced in the last hours with an AS path and a community that match.
//
//   bgpledger shell --quiet --eval 'var hours = 1, asPath = /(^| )64511$/' --file conf/mongosh/search.js
//   bgpledger shell --quiet --eval 'var community = /:666$/' --file conf/mongosh/search.js

const asked = { path: globalThis.asPath ?? /./, community: globalThis.community };
const ts = { $gte: new Date(Date.now() - (globalThis.hours ?? 24) * 3600e3) };

// Peer by peer: that is what the index is for.
const found = db.sessions.distinct("peer.address").flatMap((peer) =>
  db.updates
    .find({ "peer.address": peer, ts })
    .toArray()
    .filter(({ announce, attributes }) =>
      announce &&
      asked.path.test(attributes?.as_path ?? "") &&
      (!asked.community || (attributes.communities ?? []).some((one) => asked.community.test(one))),
    ),
);
found
  .sort((a, b) => a.ts - b.ts || a._id.toString().localeCompare(b._id.toString()))
  .forEach(({ ts, peer, announce, attributes }) =>
    announce.forEach((group) =>
      (group.nlri ?? []).forEach((prefix) =>
        print([ts.toISOString(), peer.address.padEnd(15), `AS${peer.asn}`.padEnd(12), prefix, attributes.as_path].join(" ")),
      ),
    ),
  );
