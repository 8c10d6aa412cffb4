-- A store as the first release of backbeat (schema version 1) made it, as text of sqlite3's dump.
BEGIN TRANSACTION;
CREATE TABLE bb_batch (
	batch_id BIGINT NOT NULL, 
	epoch BIGINT NOT NULL, 
	state SMALLINT NOT NULL, 
	size INTEGER NOT NULL, 
	from_us BIGINT NOT NULL, 
	to_us BIGINT NOT NULL, 
	decided_us BIGINT NOT NULL, 
	sent_us BIGINT, 
	PRIMARY KEY (batch_id)
);
INSERT INTO "bb_batch" VALUES(3,3,1,3,1700000060000000,1700000180000000,1700000180000000,NULL);
INSERT INTO "bb_batch" VALUES(4,3,2,1,1700000240000000,1700000240000000,1700000240000000,1700000240000000);
CREATE TABLE bb_entry (
	name VARCHAR(120) NOT NULL, 
	rev INTEGER NOT NULL, 
	cursor_us BIGINT NOT NULL, 
	next_us BIGINT, 
	removed SMALLINT NOT NULL, 
	changed BIGINT NOT NULL, 
	owner VARCHAR(8) NOT NULL, 
	source TEXT NOT NULL, 
	PRIMARY KEY (name)
)
 WITHOUT ROWID

;
INSERT INTO "bb_entry" VALUES('gone',1,1700000000000001,NULL,1,3,'file','');
INSERT INTO "bb_entry" VALUES('naïve “name”',1,1700000000000000,1700002800000000,0,2,'file','');
INSERT INTO "bb_entry" VALUES('tick',1,1700005400000000,1700005460000000,0,2,'file','');
CREATE TABLE bb_firing (
	due_us BIGINT NOT NULL, 
	entry VARCHAR(120) NOT NULL, 
	kind VARCHAR(8) NOT NULL, 
	"key" VARCHAR(64) NOT NULL, 
	task_id VARCHAR(36) NOT NULL, 
	rev INTEGER NOT NULL, 
	batch_id BIGINT NOT NULL, 
	state SMALLINT, 
	error TEXT, 
	PRIMARY KEY (due_us, entry, kind, "key")
)
 WITHOUT ROWID

;
INSERT INTO "bb_firing" VALUES(1700000060000000,'tick','regular','1700000060000000','018bcfe6-5260-87da-a5a7-e9ad6af16b62',1,3,2,NULL);
INSERT INTO "bb_firing" VALUES(1700000120000000,'tick','regular','1700000120000000','018bcfe7-3cc0-805d-8c9f-8290e9422ac1',1,3,NULL,NULL);
INSERT INTO "bb_firing" VALUES(1700000180000000,'tick','regular','1700000180000000','018bcfe8-2720-859a-8fe5-8b54ab6fa9ca',1,3,NULL,NULL);
INSERT INTO "bb_firing" VALUES(1700000240000000,'tick','regular','1700000240000000','018bcfe9-1180-8c17-bea0-6a301ae90e05',1,4,NULL,NULL);
CREATE TABLE bb_lease (
	name VARCHAR(40) NOT NULL, 
	holder VARCHAR(300) NOT NULL, 
	epoch BIGINT NOT NULL, 
	renewal BIGINT NOT NULL, 
	ttl_ms BIGINT NOT NULL, 
	info TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "bb_lease" VALUES('beat','',3,2,10000,'');
CREATE TABLE bb_meta (
	name VARCHAR(40) NOT NULL, 
	number BIGINT NOT NULL, 
	text TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "bb_meta" VALUES('schema_version',1,'');
INSERT INTO "bb_meta" VALUES('revision',3,'');
INSERT INTO "bb_meta" VALUES('store_id',0,'9e8bf3c7704647379406b55336af0d6b');
CREATE TABLE bb_revision (
	entry VARCHAR(120) NOT NULL, 
	rev INTEGER NOT NULL, 
	decided_us BIGINT NOT NULL, 
	spec TEXT NOT NULL, 
	PRIMARY KEY (entry, rev)
);
INSERT INTO "bb_revision" VALUES('tick',1,1700000000000000,'{"catch_up":"latest","catch_up_limit":1000,"catch_up_window_us":null,"description":"","enabled":true,"end_us":null,"grace_us":60000000,"start_us":null,"what":{"args":[1],"task":"app.tick"},"when":{"anchor_us":0,"every_us":60000000}}');
INSERT INTO "bb_revision" VALUES('naïve “name”',1,1700000000000000,'{"catch_up":"latest","catch_up_limit":1000,"catch_up_window_us":null,"description":"","enabled":true,"end_us":null,"grace_us":60000000,"start_us":null,"what":{"args":[1],"task":"app.tick"},"when":{"anchor_us":0,"every_us":3600000000}}');
INSERT INTO "bb_revision" VALUES('gone',1,1700000000000000,'{"catch_up":"latest","catch_up_limit":1000,"catch_up_window_us":null,"description":"","enabled":true,"end_us":null,"grace_us":60000000,"start_us":null,"what":{"args":[1],"task":"app.tick"},"when":{"anchor_us":0,"every_us":60000000}}');
CREATE TABLE bb_skip (
	from_us BIGINT NOT NULL, 
	entry VARCHAR(120) NOT NULL, 
	to_us BIGINT NOT NULL, 
	count BIGINT, 
	reason VARCHAR(20) NOT NULL, 
	rev INTEGER NOT NULL, 
	epoch BIGINT NOT NULL, 
	decided_us BIGINT NOT NULL, 
	PRIMARY KEY (from_us, entry)
)
 WITHOUT ROWID

;
INSERT INTO "bb_skip" VALUES(1700000300000000,'tick',1700005400000000,86,'catch_up_none',1,3,1700005400000000);
CREATE INDEX bb_entry_changed ON bb_entry (changed);
CREATE INDEX bb_batch_open ON bb_batch (from_us) WHERE state = 1;
COMMIT;
