// Run once by the image's entrypoint, before MongoDB is open to others: the collector's own user.
// readWrite for documents and indexes; dbAdmin for collMod: later changes of [retention] and of validators.
db.getSiblingDB("bgpledger").createUser({
  user: "bgpledger",
  pwd: process.env.BGPLEDGER_PASSWORD,
  roles: ["readWrite", "dbAdmin"],
});
