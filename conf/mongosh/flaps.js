// The prefixes that flapped most in a time range: a peer that had withdrawn them announced them again.
//
//   bgpledger shell --quiet --eval 'var hours = 24' --file conf/mongosh/flaps.js

const ts = { $gte: new Date(Date.now() - (globalThis.hours ?? 24) * 3600e3) };
const flaps = new Map();
for (const peer of db.sessions.distinct("peer.address")) {
  const withdrawn = new Set();
  db.updates.find({ "peer.address": peer, ts }, { announce: 1, withdraw: 1, "attributes.error": 1 }).sort({ ts: 1 }).forEach((update) => {
    const routes = (groups) =>
      (groups ?? []).flatMap(({ family, rd, path_id, nlri }) =>
        (nlri ?? []).map((prefix) => [prefix, `${family} ${rd} ${path_id} ${prefix}`]),
      );
    const treated = /^treat-as-withdraw/.test(update.attributes?.error ?? ""); // the peer announced it (RFC 7606)
    for (const [, route] of treated ? [] : routes(update.withdraw)) withdrawn.add(route);
    for (const [prefix, route] of routes(update.announce)) {
      if (withdrawn.delete(route)) flaps.set(prefix, (flaps.get(prefix) ?? 0) + 1);
    }
  });
}
[...flaps]
  .sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]))
  .slice(0, 20)
  .forEach(([prefix, count]) => print(`${String(count).padStart(9)}  ${prefix}`));
