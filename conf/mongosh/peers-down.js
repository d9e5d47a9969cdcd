// Peers whose last session has ended: since when, and why.
//
//   bgpledger shell --quiet --file conf/mongosh/peers-down.js

const latest = new Map();
const name = ({ address, router, rd, rib }) => `${address} ${router} ${rd} ${rib}`;
db.sessions.find().sort({ since: 1 }).forEach((session) => latest.set(name(session.peer), session));
[...latest.values()]
  .filter((session) => session.until)
  .sort((a, b) => b.until - a.until)
  .forEach(({ peer, until, ended_by, reason }) =>
    print(`${until.toISOString()} ${peer.address.padEnd(15)} AS${peer.asn}  ended by ${ended_by}: ${reason ?? ""}`),
  );
