// MongoDB is healthy when it takes writes. The first time round it is not a replica set yet, and is made one.
const uri = "mongodb://127.0.0.1/?directConnection=true";
const admin = new Mongo(uri).getDB("admin");
admin.auth(process.env.MONGO_INITDB_ROOT_USERNAME, process.env.MONGO_INITDB_ROOT_PASSWORD);
try {
  admin.adminCommand({ replSetGetStatus: 1 });
} catch (error) {
  if (error.codeName !== "NotYetInitialized") throw error;
  admin.adminCommand({ replSetInitiate: { _id: "rs0", members: [{ _id: 0, host: "mongodb:27017" }] } });
}
quit(admin.hello().isWritablePrimary ? 0 : 1);
