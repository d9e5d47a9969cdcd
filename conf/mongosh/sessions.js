// All sessions, newest first: how long each was up, how many messages it had, and why it ended.
//
//   bgpledger shell --quiet --file conf/mongosh/sessions.js

db.sessions.find().sort({ since: -1 }).limit(100).forEach((session) => {
  const until = session.until ?? new Date();
  const minutes = ((until - session.since) / 60e3).toFixed(1);
  print(
    [
      session.since.toISOString(),
      session.peer.address.padEnd(15),
      `AS${session.peer.asn}`.padEnd(12),
      (session.until ? "ended" : "up").padEnd(5),
      `${minutes} min`.padStart(12),
      `${session.updates} updates`.padStart(16),
      session.gaps ? `${session.gaps.length} gaps` : "",
      session.reason ?? "",
    ].join(" "),
  );
});
