// What peers say, as it is stored, until Ctrl-C. With a MongoDB, `db.updates.watch()` would do; the embedded
// store has no change streams.
//
//   bgpledger shell --quiet --file conf/mongosh/tail.js

// A session's document is written after its UPDATEs: up to its `last_seen` all of them are stored.
const shown = new Map(); // session -> what it had counted, and up to when it has been shown
const look = () =>
  db.sessions.find({ until: null }).forEach(({ _id, peer, updates, last_seen }) => {
    const before = shown.get(_id.toString());
    shown.set(_id.toString(), { updates, last_seen });
    if (!before || before.updates === updates) return;
    const ts = { $gt: before.last_seen, $lte: last_seen };
    db.updates.find({ "peer.address": peer.address, ts }).sort({ ts: 1 }).forEach((update) => {
      const prefixes = (groups) => (groups ?? []).flatMap(({ nlri }) => nlri ?? []);
      for (const [event, path] of [["withdraw", update.attributes?.error ?? ""], ["announce", update.attributes?.as_path]])
        for (const prefix of prefixes(update[event]))
          print([update.ts.toISOString(), peer.address.padEnd(15), event.padEnd(8), prefix, path].join(" "));
    });
  });

const until = Date.now() + (globalThis.seconds ?? Infinity) * 1e3;
do {
  look();
  sleep(200);
} while (Date.now() < until);
