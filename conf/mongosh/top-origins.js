// The origin ASes with the most announced routes, in the last hours.
//
//   bgpledger shell --quiet --eval 'var hours = 24' --file conf/mongosh/top-origins.js

const span = { ts: { $gte: new Date(Date.now() - (globalThis.hours ?? 24) * 3600e3) } };
const routes = new Map();
const peers = db.sessions.distinct("peer.address");
for (const peer of peers) {
  const updates = db.updates.find({ "peer.address": peer, ...span }, { announce: 1, "attributes.as_path": 1 });
  for (const update of updates.toArray()) {
    const path = update.attributes?.as_path;
    if (!path) continue;
    const count = (update.announce ?? []).reduce((sum, group) => sum + (group.nlri ?? []).length, 0);
    const origin = path.split(" ").pop();
    if (count) routes.set(origin, (routes.get(origin) ?? 0) + count);
  }
}
[...routes]
  .sort((a, b) => b[1] - a[1])
  .slice(0, 20)
  .forEach(([origin, count]) => print(`${String(count).padStart(9)}  AS${origin}`));
