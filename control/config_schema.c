#include "config_schema.h"

/* Texts have no length limit here: whoever gives a text its meaning also limits it. */
#define TEXT(key, type, member)                                                                    \
	CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, member, 0,     \
			       CYAML_UNLIMITED)
#define TEXT_NEEDED(key, type, member)                                                             \
	CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER, type, member, 0, CYAML_UNLIMITED)
#define LIST(key, type, member, entry, max)                                                        \
	CYAML_FIELD_SEQUENCE(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, member, &entry,  \
			     0, max)
#define LIST_NEEDED(key, type, member, entry, max)                                                 \
	CYAML_FIELD_SEQUENCE(key, CYAML_FLAG_POINTER, type, member, &entry, 1, max)

static const cyaml_schema_value_t text_entry = { CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 0,
								    CYAML_UNLIMITED) };

static const cyaml_schema_field_t system_fields[] = {
	TEXT("control-core", struct raw_system, control_core),
	CYAML_FIELD_SEQUENCE("worker-cores", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
			     struct raw_system, worker_cores, &text_entry, 1, 1024),
	TEXT("share-core", struct raw_system, share_core),
	TEXT("hugepages", struct raw_system, hugepages),
	TEXT("memory", struct raw_system, memory),
	TEXT("file-prefix", struct raw_system, file_prefix),
	TEXT("idle", struct raw_system, idle),
	TEXT("vaes", struct raw_system, vaes),
	TEXT("gcm", struct raw_system, gcm),
	TEXT("sa-slots", struct raw_system, sa_slots),
	TEXT("mbufs", struct raw_system, mbufs),
	TEXT("buffer-size", struct raw_system, buffer_size),
	TEXT("run-dir", struct raw_system, run_dir),
	TEXT("leases-file", struct raw_system, leases_file),
	TEXT("stats-file", struct raw_system, stats_file),
	TEXT("stats-interval", struct raw_system, stats_interval),
	TEXT("key-export", struct raw_system, key_export),
	TEXT("dh-threads", struct raw_system, dh_threads),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t port_fields[] = {
	TEXT_NEEDED("name", struct raw_port, name),
	TEXT_NEEDED("device", struct raw_port, device),
	TEXT("vlan", struct raw_port, vlan),
	LIST_NEEDED("addresses", struct raw_port, addresses, text_entry, 1024),
	TEXT("mtu", struct raw_port, mtu),
	TEXT("clamp-mss", struct raw_port, clamp_mss),
	TEXT("source-check", struct raw_port, source_check),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t route_fields[] = {
	TEXT_NEEDED("to", struct raw_route, to),
	TEXT("via", struct raw_route, via),
	TEXT("port", struct raw_route, port),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t secret_fields[] = {
	TEXT_NEEDED("name", struct raw_secret, name),
	TEXT_NEEDED("file", struct raw_secret, file),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t policy_fields[] = {
	TEXT_NEEDED("action", struct raw_policy, action),
	TEXT("local", struct raw_policy, local),
	TEXT("remote", struct raw_policy, remote),
	TEXT("protocol", struct raw_policy, protocol),
	TEXT("local-port", struct raw_policy, local_port),
	TEXT("remote-port", struct raw_policy, remote_port),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t child_fields[] = {
	TEXT_NEEDED("name", struct raw_child, name),
	LIST_NEEDED("local", struct raw_child, local, text_entry, 1024),
	LIST_NEEDED("remote", struct raw_child, remote, text_entry, 1024),
	TEXT("protocol", struct raw_child, protocol),
	TEXT("local-port", struct raw_child, local_port),
	TEXT("remote-port", struct raw_child, remote_port),
	LIST_NEEDED("proposals", struct raw_child, proposals, text_entry, 256),
	TEXT("mode", struct raw_child, mode),
	TEXT("lifetime", struct raw_child, lifetime),
	TEXT("lifetime-bytes", struct raw_child, lifetime_bytes),
	TEXT("lifetime-packets", struct raw_child, lifetime_packets),
	TEXT("idle-timeout", struct raw_child, idle_timeout),
	TEXT("fallback-clear", struct raw_child, fallback_clear),
	TEXT("rekey-margin", struct raw_child, rekey_margin),
	TEXT("start", struct raw_child, start),
	TEXT("replay-window", struct raw_child, replay_window),
	TEXT("df", struct raw_child, df),
	TEXT("copy-dscp", struct raw_child, copy_dscp),
	TEXT("dscp", struct raw_child, dscp),
	TEXT("sa-pairs", struct raw_child, sa_pairs),
	TEXT("esn", struct raw_child, esn),
	TEXT("clamp-mss", struct raw_child, clamp_mss),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t child_entry = { CYAML_VALUE_MAPPING(
	CYAML_FLAG_DEFAULT, struct raw_child, child_fields) };

static const cyaml_schema_field_t peer_fields[] = {
	TEXT_NEEDED("name", struct raw_peer, name),
	TEXT_NEEDED("local", struct raw_peer, local),
	TEXT_NEEDED("remote", struct raw_peer, remote),
	TEXT("local-id", struct raw_peer, local_id),
	TEXT("remote-id", struct raw_peer, remote_id),
	TEXT("exchange", struct raw_peer, exchange),
	TEXT("auth", struct raw_peer, auth),
	TEXT("secret", struct raw_peer, secret),
	TEXT("principal", struct raw_peer, principal),
	TEXT("remote-principal", struct raw_peer, remote_principal),
	TEXT("keytab", struct raw_peer, keytab),
	TEXT("certificate", struct raw_peer, certificate),
	TEXT("key", struct raw_peer, key),
	TEXT("passphrase-file", struct raw_peer, passphrase_file),
	LIST_NEEDED("proposals", struct raw_peer, proposals, text_entry, 256),
	TEXT("lifetime", struct raw_peer, lifetime),
	TEXT("lifetime-bytes", struct raw_peer, lifetime_bytes),
	TEXT("quick-mode-limit", struct raw_peer, quick_mode_limit),
	TEXT("master-pfs", struct raw_peer, master_pfs),
	TEXT("idle-timeout", struct raw_peer, idle_timeout),
	TEXT("dpd-mode", struct raw_peer, dpd_mode),
	TEXT("rekey-margin", struct raw_peer, rekey_margin),
	TEXT("dpd", struct raw_peer, dpd),
	TEXT("encapsulation", struct raw_peer, encapsulation),
	TEXT("fragmentation", struct raw_peer, fragmentation),
	TEXT("fragment-size", struct raw_peer, fragment_size),
	TEXT("sha256-96", struct raw_peer, sha256_96),
	TEXT("retries", struct raw_peer, retries),
	TEXT("retry-interval", struct raw_peer, retry_interval),
	TEXT("xauth", struct raw_peer, xauth),
	TEXT("users", struct raw_peer, users),
	TEXT("pam", struct raw_peer, pam),
	TEXT("xauth-user", struct raw_peer, xauth_user),
	TEXT("xauth-password-file", struct raw_peer, xauth_password_file),
	TEXT("mode-config", struct raw_peer, mode_config),
	TEXT("pool", struct raw_peer, pool),
	LIST("dns", struct raw_peer, dns, text_entry, 64),
	LIST("nbns", struct raw_peer, nbns, text_entry, 64),
	LIST("split", struct raw_peer, split, text_entry, 256),
	LIST("local-lan", struct raw_peer, local_lan, text_entry, 256),
	LIST("split-dns", struct raw_peer, split_dns, text_entry, 256),
	TEXT("domain", struct raw_peer, domain),
	TEXT("banner", struct raw_peer, banner),
	TEXT("save-password", struct raw_peer, save_password),
	LIST("children", struct raw_peer, children, child_entry, 65536),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t port_entry = { CYAML_VALUE_MAPPING(
	CYAML_FLAG_DEFAULT, struct raw_port, port_fields) };
static const cyaml_schema_value_t route_entry = { CYAML_VALUE_MAPPING(
	CYAML_FLAG_DEFAULT, struct raw_route, route_fields) };
static const cyaml_schema_value_t secret_entry = { CYAML_VALUE_MAPPING(
	CYAML_FLAG_DEFAULT, struct raw_secret, secret_fields) };
static const cyaml_schema_value_t policy_entry = { CYAML_VALUE_MAPPING(
	CYAML_FLAG_DEFAULT, struct raw_policy, policy_fields) };
static const cyaml_schema_value_t peer_entry = { CYAML_VALUE_MAPPING(
	CYAML_FLAG_DEFAULT, struct raw_peer, peer_fields) };

static const cyaml_schema_field_t top_fields[] = {
	CYAML_FIELD_MAPPING("system", CYAML_FLAG_OPTIONAL, struct raw_config, system,
			    system_fields),
	LIST_NEEDED("ports", struct raw_config, ports, port_entry, 1024),
	LIST("routes", struct raw_config, routes, route_entry, 65536),
	LIST("secrets", struct raw_config, secrets, secret_entry, 65536),
	LIST("authorities", struct raw_config, authorities, text_entry, 1024),
	LIST("revocation-lists", struct raw_config, revocation_lists, text_entry, 1024),
	TEXT("require-crl", struct raw_config, require_crl),
	TEXT("ocsp", struct raw_config, ocsp),
	TEXT("ocsp-responder", struct raw_config, ocsp_responder),
	TEXT("ocsp-timeout", struct raw_config, ocsp_timeout),
	LIST("policies", struct raw_config, policies, policy_entry, 65536),
	LIST("peers", struct raw_config, peers, peer_entry, 65536),
	CYAML_FIELD_END,
};

const cyaml_schema_value_t config_schema = { CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER,
								 struct raw_config, top_fields) };
