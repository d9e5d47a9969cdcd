// Creates two views, for those who prefer `find` to scripts; run it again to recreate them.
//
//   bgpledger shell --quiet --file conf/mongosh/views.js
//   db.peers_now.find()
//   db.routes_said.find({ peer: "192.0.2.1", ts: { $gt: ISODate("2026-11-23T19:00:00Z") }, as_path: /64511$/ })
//
// `peers_now` has one row for each peer, its newest session. `routes_said` has one for each route in an UPDATE: give a
// time range, and if you can a peer, since MongoDB then reads only these. The embedded store reads the whole archive for
// a view: use `history.js` and `search.js` there.

const views = {
  peers_now: ["sessions", [
    { $sort: { since: -1, _id: -1 } },
    { $group: {
      _id: { peer: "$peer.address", router: "$peer.router", rd: "$peer.rd", rib: "$peer.rib", collector: "$collector" },
      newest: { $first: "$$ROOT" },
    } },
    { $project: {
      _id: 0,
      peer: "$newest.peer.address",
      asn: "$newest.peer.asn",
      collector: "$newest.collector",
      state: { $cond: [{ $gt: ["$newest.until", null] }, "down", "up"] },
      since: { $ifNull: ["$newest.until", "$newest.since"] },
      updates: "$newest.updates",
      reason: "$newest.reason",
    } },
    { $sort: { peer: 1 } },
  ]],
  routes_said: ["updates", [
    { $project: {
      ts: 1, peer: "$peer.address", asn: "$peer.asn", collector: 1, session: 1, attributes: 1,
      said: { $concatArrays: ["withdraw", "announce"].map((event) => (
        { $map: { input: { $ifNull: [`$${event}`, []] }, as: "group", in: { event, group: "$$group" } } }
      )) },
    } },
    { $unwind: "$said" },
    { $unwind: "$said.group.nlri" },
    { $project: {
      ts: 1, peer: 1, asn: 1, collector: 1, session: 1,
      event: "$said.event",
      prefix: "$said.group.nlri",
      family: "$said.group.family",
      path_id: "$said.group.path_id",
      next_hop: "$said.group.next_hop",
      // An UPDATE's attributes are those of what it announces (RFC 4271 4.3).
      attributes: { $cond: [{ $eq: ["$said.event", "announce"] }, "$attributes", "$$REMOVE"] },
      error: "$attributes.error",
    } },
    { $addFields: { as_path: "$attributes.as_path", communities: "$attributes.communities" } },
  ]],
};

for (const [name, [source, pipeline]] of Object.entries(views)) {
  db[name].drop();
  db.createView(name, source, pipeline);
  print(name);
}
