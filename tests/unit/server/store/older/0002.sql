BEGIN TRANSACTION;
CREATE TABLE accounts (
	id VARCHAR(32) NOT NULL, 
	network VARCHAR(18), 
	dns_domain VARCHAR(253) NOT NULL, 
	serial BIGINT NOT NULL, 
	created_at DOUBLE NOT NULL, session_lifetime DOUBLE DEFAULT '86400', 
	CONSTRAINT pk_accounts PRIMARY KEY (id)
);
INSERT INTO "accounts" VALUES('da194804ed6fbf9d2c1a','100.92.0.0/16','covey.internal',1700000000003,1700000000.0,86400.0);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE authorization_codes (
	code_hash VARCHAR(64) NOT NULL, 
	user_id VARCHAR(32) NOT NULL, 
	client_id VARCHAR(100) NOT NULL, 
	redirect_uri VARCHAR(255) NOT NULL, 
	scope VARCHAR(255) NOT NULL, 
	nonce VARCHAR(255) NOT NULL, 
	code_challenge VARCHAR(128) NOT NULL, 
	auth_time DOUBLE NOT NULL, 
	expires_at DOUBLE NOT NULL, 
	used_at DOUBLE, 
	sign_in_id VARCHAR(32), 
	CONSTRAINT pk_authorization_codes PRIMARY KEY (code_hash), 
	CONSTRAINT fk_authorization_codes_user_id_users FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE TABLE browser_sessions (
	token_hash VARCHAR(64) NOT NULL, 
	user_id VARCHAR(32) NOT NULL, 
	auth_time DOUBLE NOT NULL, 
	expires_at DOUBLE NOT NULL, 
	CONSTRAINT pk_browser_sessions PRIMARY KEY (token_hash), 
	CONSTRAINT fk_browser_sessions_user_id_users FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE TABLE device_codes (
	code_hash VARCHAR(64) NOT NULL, 
	user_code_hash VARCHAR(64) NOT NULL, 
	client_id VARCHAR(100) NOT NULL, 
	scope VARCHAR(255) NOT NULL, 
	interval INTEGER NOT NULL, 
	expires_at DOUBLE NOT NULL, 
	polled_at DOUBLE, 
	user_id VARCHAR(32), 
	auth_time DOUBLE, 
	denied BOOLEAN NOT NULL, 
	CONSTRAINT pk_device_codes PRIMARY KEY (code_hash), 
	CONSTRAINT uq_device_codes_user_code_hash UNIQUE (user_code_hash), 
	CONSTRAINT fk_device_codes_user_id_users FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE TABLE one_time_links (
	token_hash VARCHAR(64) NOT NULL, 
	account_id VARCHAR(32) NOT NULL, 
	purpose VARCHAR(16) NOT NULL, 
	user_id VARCHAR(32), 
	role VARCHAR(16) NOT NULL, 
	created_at DOUBLE NOT NULL, 
	expires_at DOUBLE NOT NULL, 
	CONSTRAINT pk_one_time_links PRIMARY KEY (token_hash), 
	CONSTRAINT fk_one_time_links_account_id_accounts FOREIGN KEY(account_id) REFERENCES accounts (id) ON DELETE CASCADE, 
	CONSTRAINT fk_one_time_links_user_id_users FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE TABLE "peers" (
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
	user_id VARCHAR(32), 
	last_login DOUBLE, 
	CONSTRAINT pk_peers PRIMARY KEY (id), 
	CONSTRAINT fk_peers_account_id_accounts FOREIGN KEY(account_id) REFERENCES accounts (id) ON DELETE CASCADE, 
	CONSTRAINT uq_peers_public_key UNIQUE (public_key), 
	CONSTRAINT fk_peers_setup_key_id_setup_keys FOREIGN KEY(setup_key_id) REFERENCES setup_keys (id) ON DELETE SET NULL, 
	CONSTRAINT uq_peers_account_id_address UNIQUE (account_id, address), 
	CONSTRAINT uq_peers_account_id_name UNIQUE (account_id, name), 
	CONSTRAINT fk_peers_user_id_users FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE SET NULL
);
INSERT INTO "peers" VALUES('94ced313023ff9ccdd5e','da194804ed6fbf9d2c1a','pOCSkrZRwni5dyxWn1+puxPZBrRqtoyd+dwrRAn4ogk=','alice','100.92.211.192',0,'3a057c643660f7d7bffb',1700000000.0,1700000000.0,'alice','linux','','','','','','0.77.1','','',NULL,NULL);
INSERT INTO "peers" VALUES('abbe9dc8aea27225969e','da194804ed6fbf9d2c1a','zo060cy2M+x7cMF4FKXHbs0CloUFDTRHRboFhw5YfVk=','alice-8-248','100.92.8.248',0,'3a057c643660f7d7bffb',1700000000.0,1700000000.0,'alice','linux','','','','','','0.77.1','','',NULL,NULL);
INSERT INTO "peers" VALUES('a00fcefef5aaf345c164','da194804ed6fbf9d2c1a','Xf7dO2vUf2+ijuFdlp1bsOpTd01Ii9r53xxuASSz7yI=','bob','100.92.189.177',0,'3a057c643660f7d7bffb',1700000000.0,1700000000.0,'bob','linux','','','','','','0.77.1','','','2445b7a905ac79b6d493',1700000000.0);
CREATE TABLE refresh_tokens (
	token_hash VARCHAR(64) NOT NULL, 
	sign_in_id VARCHAR(32) NOT NULL, 
	created_at DOUBLE NOT NULL, 
	used_at DOUBLE, 
	CONSTRAINT pk_refresh_tokens PRIMARY KEY (token_hash), 
	CONSTRAINT fk_refresh_tokens_sign_in_id_sign_ins FOREIGN KEY(sign_in_id) REFERENCES sign_ins (id) ON DELETE CASCADE
);
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
CREATE TABLE sign_ins (
	id VARCHAR(32) NOT NULL, 
	user_id VARCHAR(32) NOT NULL, 
	client_id VARCHAR(100) NOT NULL, 
	scope VARCHAR(255) NOT NULL, 
	auth_time DOUBLE NOT NULL, 
	expires_at DOUBLE NOT NULL, 
	CONSTRAINT pk_sign_ins PRIMARY KEY (id), 
	CONSTRAINT fk_sign_ins_user_id_users FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE TABLE signing_keys (
	id VARCHAR(64) NOT NULL, 
	private_key TEXT NOT NULL, 
	created_at DOUBLE NOT NULL, 
	CONSTRAINT pk_signing_keys PRIMARY KEY (id)
);
CREATE TABLE spent_tokens (
	token_hash VARCHAR(64) NOT NULL, 
	expires_at DOUBLE NOT NULL, 
	CONSTRAINT pk_spent_tokens PRIMARY KEY (token_hash)
);
CREATE TABLE users (
	id VARCHAR(32) NOT NULL, 
	account_id VARCHAR(32) NOT NULL, 
	issuer VARCHAR(255) NOT NULL, 
	subject VARCHAR(255) NOT NULL, 
	email VARCHAR(254) NOT NULL, 
	name VARCHAR(100) NOT NULL, 
	role VARCHAR(16) NOT NULL, 
	password_hash VARCHAR(255), 
	blocked_at DOUBLE, 
	created_at DOUBLE NOT NULL, 
	last_login DOUBLE, 
	CONSTRAINT pk_users PRIMARY KEY (id), 
	CONSTRAINT uq_users_issuer_subject UNIQUE (issuer, subject), 
	CONSTRAINT fk_users_account_id_accounts FOREIGN KEY(account_id) REFERENCES accounts (id) ON DELETE CASCADE
);
INSERT INTO "users" VALUES('2445b7a905ac79b6d493','da194804ed6fbf9d2c1a','','2445b7a905ac79b6d493','alice@example.org','Alice','owner','$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g',NULL,1700000000.0,NULL);
INSERT INTO "users" VALUES('a29a33dc86373ee5d1de','da194804ed6fbf9d2c1a','https://id.example.org','4711','bob@example.org','Bob','user',NULL,NULL,1700000000.0,NULL);
CREATE INDEX ix_setup_keys_account_id ON setup_keys (account_id);
CREATE UNIQUE INDEX ix_users_embedded_email ON users (account_id, email) WHERE issuer = '';
CREATE INDEX ix_peers_setup_key_id ON peers (setup_key_id);
CREATE INDEX ix_peers_user_id ON peers (user_id);
CREATE INDEX ix_sign_ins_user_id ON sign_ins (user_id);
CREATE INDEX ix_refresh_tokens_sign_in_id ON refresh_tokens (sign_in_id);
CREATE INDEX ix_authorization_codes_user_id ON authorization_codes (user_id);
CREATE INDEX ix_device_codes_user_id ON device_codes (user_id);
CREATE INDEX ix_browser_sessions_user_id ON browser_sessions (user_id);
CREATE INDEX ix_one_time_links_account_id ON one_time_links (account_id);
CREATE INDEX ix_one_time_links_user_id ON one_time_links (user_id);
CREATE INDEX ix_spent_tokens_expires_at ON spent_tokens (expires_at);
COMMIT;
