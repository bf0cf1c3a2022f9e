BEGIN TRANSACTION;
CREATE TABLE accounts (
	id VARCHAR(32) NOT NULL, 
	network VARCHAR(18), 
	dns_domain VARCHAR(253) NOT NULL, 
	serial BIGINT NOT NULL, 
	created_at DOUBLE NOT NULL, 
	CONSTRAINT pk_accounts PRIMARY KEY (id)
);
INSERT INTO "accounts" VALUES('da194804ed6fbf9d2c1a','100.92.0.0/16','covey.internal',1700000000003,1700000000.0);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE peers (
	id VARCHAR(32) NOT NULL, 
	account_id VARCHAR(32) NOT NULL, 
	public_key VARCHAR(44) NOT NULL, 
	name VARCHAR(63) NOT NULL, 
	address VARCHAR(15) NOT NULL, 
	ephemeral BOOLEAN NOT NULL, 
	setup_key_id VARCHAR(32), 
	created_at DOUBLE NOT NULL, 
	last_seen DOUBLE NOT NULL, 
	hostname VARCHAR(253) NOT NULL, 
	go_os VARCHAR(128) NOT NULL, 
	kernel VARCHAR(128) NOT NULL, 
	platform VARCHAR(128) NOT NULL, 
	os VARCHAR(128) NOT NULL, 
	os_version VARCHAR(128) NOT NULL, 
	kernel_version VARCHAR(128) NOT NULL, 
	netbird_version VARCHAR(128) NOT NULL, 
	ui_version VARCHAR(128) NOT NULL, 
	covey_version VARCHAR(128) NOT NULL, 
	CONSTRAINT pk_peers PRIMARY KEY (id), 
	CONSTRAINT uq_peers_public_key UNIQUE (public_key), 
	CONSTRAINT uq_peers_account_id_name UNIQUE (account_id, name), 
	CONSTRAINT uq_peers_account_id_address UNIQUE (account_id, address), 
	CONSTRAINT fk_peers_account_id_accounts FOREIGN KEY(account_id) REFERENCES accounts (id) ON DELETE CASCADE, 
	CONSTRAINT fk_peers_setup_key_id_setup_keys FOREIGN KEY(setup_key_id) REFERENCES setup_keys (id) ON DELETE SET NULL
);
INSERT INTO "peers" VALUES('94ced313023ff9ccdd5e','da194804ed6fbf9d2c1a','pOCSkrZRwni5dyxWn1+puxPZBrRqtoyd+dwrRAn4ogk=','alice','100.92.211.192',0,'3a057c643660f7d7bffb',1700000000.0,1700000000.0,'alice','linux','','','','','','0.77.1','','');
INSERT INTO "peers" VALUES('abbe9dc8aea27225969e','da194804ed6fbf9d2c1a','zo060cy2M+x7cMF4FKXHbs0CloUFDTRHRboFhw5YfVk=','alice-8-248','100.92.8.248',0,'3a057c643660f7d7bffb',1700000000.0,1700000000.0,'alice','linux','','','','','','0.77.1','','');
INSERT INTO "peers" VALUES('a00fcefef5aaf345c164','da194804ed6fbf9d2c1a','Xf7dO2vUf2+ijuFdlp1bsOpTd01Ii9r53xxuASSz7yI=','bob','100.92.189.177',0,'3a057c643660f7d7bffb',1700000000.0,1700000000.0,'bob','linux','','','','','','0.77.1','','');
CREATE TABLE setup_keys (
	id VARCHAR(32) NOT NULL, 
	account_id VARCHAR(32) NOT NULL, 
	name VARCHAR(100) NOT NULL, 
	key_hash VARCHAR(64) NOT NULL, 
	hint VARCHAR(16) NOT NULL, 
	reusable BOOLEAN NOT NULL, 
	expires_at DOUBLE, 
	usage_limit INTEGER, 
	used INTEGER NOT NULL, 
	ephemeral BOOLEAN NOT NULL, 
	revoked_at DOUBLE, 
	created_at DOUBLE NOT NULL, 
	CONSTRAINT pk_setup_keys PRIMARY KEY (id), 
	CONSTRAINT uq_setup_keys_key_hash UNIQUE (key_hash), 
	CONSTRAINT fk_setup_keys_account_id_accounts FOREIGN KEY(account_id) REFERENCES accounts (id) ON DELETE CASCADE
);
INSERT INTO "setup_keys" VALUES('3a057c643660f7d7bffb','da194804ed6fbf9d2c1a','office','8a0ea4cf9964626ca58f442c46b78a6a9130eea5e521c08e396f56f1bcf7e304','19766FCF-…',1,NULL,NULL,3,0,NULL,1700000000.0);
INSERT INTO "setup_keys" VALUES('e7c5b739625b0ce50f26','da194804ed6fbf9d2c1a','once','78db59cbd6a183cfd42d388eccaeb36c8c0dc5b917692eeff2c1fdc1375bddf0','6735009A-…',0,1700003600.0,1,0,0,NULL,1700000000.0);
CREATE INDEX ix_setup_keys_account_id ON setup_keys (account_id);
CREATE INDEX ix_peers_setup_key_id ON peers (setup_key_id);
COMMIT;
