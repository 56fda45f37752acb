/* The table of all options. A new option needs an entry here: see config_reference.h. */
#include "config_reference.h"

#define WEAK_NOTE \
	"Weak algorithms work only when they are named, and a warning says why they are weak."

#define KERBEROS_EXAMPLE                                                                           \
	"auth: kerberos\nprincipal: host/gwa.example.org@EXAMPLE.ORG\nkeytab: gwa.keytab\n"        \
	"remote-principal: host/gwb.example.org@EXAMPLE.ORG"

const struct config_option config_options[] = {
	{ .path = "system",
	  .meaning = "CPUs, memory and directories of the process. Only a start reads this section "
		     "and the sections ports and routes; all others follow a SIGHUP." },
	{ "system.control-core", "CPU number", "0", NULL,
	  "The CPU of the control thread: negotiations, timers and the control socket.",
	  "control-core: 0" },
	{ "system.worker-cores", "list of CPU numbers", "[1]", NULL,
	  "One worker lcore runs on each of these CPUs and does nothing but carry packets.",
	  "worker-cores: [1]" },
	{ "system.share-core", "yes or no", "no", NULL,
	  "Lets workers share a CPU with each other and with the control thread. For tests and "
	  "small "
	  "machines: a worker that polls takes all the time that it gets.",
	  "share-core: yes" },
	{ "system.hugepages", "yes or no", "yes", NULL,
	  "no: take ordinary memory. Everything works, slower.", "hugepages: no" },
	{ "system.memory", "size", "512M", NULL,
	  "Memory for packet buffers, rings and tables; from 64M.", "memory: 1G" },
	{ "system.file-prefix", "name", "\"\"", NULL,
	  "DPDK's prefix for its files, for tools that attach to a running process. Empty: nothing "
	  "is put into the file system, so that several shrikes can run on one machine.",
	  "file-prefix: shrike" },
	{ "system.idle", "poll or sleep", "poll", NULL,
	  "What a worker does without traffic. poll: it never gives up its CPU, which costs the "
	  "least "
	  "delay. sleep: it sleeps a moment at a time.",
	  "idle: sleep" },
	{ "system.vaes", "auto or no", "auto", NULL,
	  "auto: on a CPU with VAES but without GFNI and AVX-512 (AMD's Zen 3, for one) take "
	  "IPsec-MB's VAES code all the same, once it has given the same results as the ordinary "
	  "code for every algorithm. no: whatever IPsec-MB chooses by itself.",
	  "vaes: no" },
	{ "system.gcm", "auto or ipsec-mb", "auto", NULL,
	  "auto: on a CPU with VAES and without AVX-512 ESP's AES-GCM is shrike's own code, which is "
	  "faster there, once it has given the same results as IPsec-MB. ipsec-mb: always the "
	  "library.",
	  "gcm: ipsec-mb" },
	{ "system.sa-slots", "number", "4096", NULL,
	  "SAs that a worker has room for: a power of two from 16 to 1048576.", "sa-slots: 65536" },
	{ "system.mbufs", "number", NULL, "16384",
	  "Packet buffers for each port, from 512 to 16777216. Without it more where the workers' "
	  "queues need more: some 2,000 for each worker and port, and 2,500 for each worker.", "mbufs: 65536" },
	{ "system.buffer-size", "size", NULL, "the largest frame of any port",
	  "How much of a frame one packet buffer holds, from 1K to 16K. Ports with larger frames fill "
	  "several buffers with one, which the device must be able to do, and which takes longer: a "
	  "way to have ports of 9000 bytes with little memory. More than the largest frame is for "
	  "net_af_packet, which joins IPv4 fragments (see the README).",
	  "buffer-size: 2K" },
	{ "system.run-dir", "absolute path", "/run/shrike", NULL,
	  "Where the control socket (control.sock), the lock and the statistics are. Two shrikes "
	  "need "
	  "two directories.",
	  "run-dir: /run/shrike-b" },
	{ "system.leases-file", "file name", "leases.json", NULL,
	  "Where it is remembered who has, or had, which address of a pool, relative to run-dir. Below "
	  "/var/lib it outlives a reboot, too.",
	  "leases-file: /var/lib/shrike/leases.json" },
	{ "system.stats-file", "file name", "stats.json", NULL,
	  "The file that the statistics are written to, relative to run-dir.",
	  "stats-file: /var/lib/shrike/stats.json" },
	{ "system.stats-interval", "duration", "10s", NULL,
	  "How often the statistics are written: 0 (only on SIGUSR1), or from 100ms.",
	  "stats-interval: 1m" },
	{ "system.key-export", "absolute path", NULL, "no key is ever written",
	  "For the laboratory only: a directory that belongs to us and has mode 0700, where the keys "
	  "of all SAs are written in the format of Wireshark's tables ikev1_decryption_table and "
	  "esp_sa. Whoever reads these files reads all traffic, also what was recorded before.",
	  "key-export: /var/lib/shrike/keys" },
	{ "system.dh-threads", "number", "1", NULL,
	  "Threads for public-key arithmetic, from 1 to 64, so that no negotiation waits for "
	  "another's.",
	  "dh-threads: 4" },

	{ .path = "ports[]",
	  .meaning =
		  "The network ports, which belong to shrike alone: the kernel does not see their "
		  "packets. At least one is needed." },
	{ "ports[].name", "name", NULL, NULL, "What routes, logs and statistics call it.",
	  "name: wan" },
	{ "ports[].device", "PCI address or DPDK device", NULL, NULL,
	  "The PCI address of a NIC that is bound to vfio-pci, or a virtual device of DPDK with "
	  "its "
	  "arguments.",
	  "device: net_af_packet0,iface=eth1" },
	{ "ports[].vlan", "number", NULL, "frames without a tag",
	  "The VLAN (IEEE 802.1Q, from 1 to 4094) that this port is: the frames of its device with this "
	  "tag. Several ports name the same device, one of them perhaps without a VLAN; each has "
	  "addresses, routes and an mtu of its own.",
	  "vlan: 20" },
	{ "ports[].addresses", "list of addresses with mask", NULL, NULL,
	  "The gateway's own addresses on this port, of either family. It answers ARP, Neighbour "
	  "Discovery and ping for them, adds a link-local address where there is IPv6, and reaches "
	  "their networks directly.",
	  "addresses: [198.51.100.1/24, \"2001:db8:1::1/64\"]" },
	{ "ports[].mtu", "number", "1500", NULL,
	  "Largest IP packet, from 576 to 9600 bytes. Longer ones are cut before they are "
	  "encrypted, "
	  "or refused with an ICMP message when they must not be.",
	  "mtu: 9000" },
	{ "ports[].clamp-mss", "no, auto or number", "no", NULL,
	  "Lowers the segment size that TCP connections announce when they begin, in packets that "
	  "come in or leave here in the clear: to what the port's mtu carries (auto), or to this "
	  "number of bytes, from 128 to 9600.",
	  "clamp-mss: auto" },
	{ "ports[].source-check", "strict, loose or off", "strict", NULL,
	  "Which clear packets come in, by their source: those to whose source a route leads back "
	  "through this port (strict), or any route (loose). Own, loopback and multicast sources "
	  "never do. With off a forged address from behind this gateway may come from outside and "
	  "be encrypted for its sender.",
	  "source-check: loose" },

	{ .path = "routes[]", .meaning = "Where packets go that no port's network holds." },
	{ "routes[].to", "network", NULL, NULL,
	  "The destination. The longest matching one decides.",
	  "to: 0.0.0.0/0\nvia: 198.51.100.254" },
	{ "routes[].via", "address", NULL,
	  "the destination is reached directly; port is needed then",
	  "The next gateway, in the network of a port.", "to: 10.3.0.0/16\nvia: 198.51.100.253" },
	{ "routes[].port", "name of a port", NULL, "the port whose network holds via",
	  "The port that the packets leave through.", "to: 10.4.0.0/16\nport: wan" },

	{ .path = "secrets[]", .meaning = "Pre-shared keys, each in a file of its own." },
	{ "secrets[].name", "name", NULL, NULL, "What peers refer to.", "name: site-b" },
	{ "secrets[].file", "file name", NULL, NULL,
	  "A file of one line with the key, relative to the configuration file; 0x and an even "
	  "number "
	  "of hex digits stands for bytes. It must belong to root or the user of the process and "
	  "have "
	  "mode 0600 or 0400. Keys of less than 16 bytes raise a warning: whoever records one "
	  "exchange can try them all.",
	  "file: site-b.psk" },

	{ "authorities", "list of file names", NULL, "no certificate is trusted",
	  "Certificates (PEM or DER) of the authorities whose certificates are accepted from "
	  "peers, "
	  "relative to the configuration file.",
	  "authorities: [ca.pem]" },
	{ "revocation-lists", "list of file names", NULL, "nothing counts as revoked",
	  "Revocation lists (PEM or DER) of the authorities. SIGHUP reads them again; SAs that "
	  "stand "
	  "keep standing.",
	  "revocation-lists: [ca.crl]" },
	{ "require-crl", "yes or no", "no", NULL,
	  "yes: refuse a certificate when there is no current revocation list of every issuer "
	  "above "
	  "it.",
	  "require-crl: yes" },

	{ "ocsp", "off, if-available or require", "off", NULL,
	  "Whether the responders of the authorities are asked, by OCSP, if a peer's certificate was "
	  "revoked. A revoked one is refused. When no answer that counts comes in time, if-available "
	  "accepts the certificate, with a warning, and require refuses it. Answers are kept until "
	  "they end, at most for an hour; SIGHUP forgets them. The requests go over HTTP through "
	  "this machine's own network, not through the gateway's ports: those belong to the data "
	  "plane.",
	  "authorities: [ca.pem]\nocsp: require" },
	{ "ocsp-responder", "URL", NULL, "the one that each certificate names",
	  "The responder to ask about all certificates, http:// only (answers are signed).",
	  "authorities: [ca.pem]\nocsp: require\nocsp-responder: http://192.0.2.80:8080/" },
	{ "ocsp-timeout", "duration", "5s", NULL,
	  "How long to wait for a responder's answer, from 1s to 20s. One that did not answer is "
	  "not asked again for 30 seconds.",
	  "authorities: [ca.pem]\nocsp: if-available\nocsp-timeout: 2s" },

	{ .path = "policies[]",
	  .meaning =
		  "Traffic that does not go into a tunnel. Policies are looked at in this order, "
		  "then the children of the peers in theirs; the first that matches decides, and "
		  "what none matches is discarded." },
	{ "policies[].action", "bypass or discard", NULL, NULL,
	  "bypass: forward it in the clear. discard: drop it, and count it.", "action: bypass" },
	{ "policies[].local", "network, range or address", "any", NULL,
	  "Our side: the source of packets that leave, the destination of packets that arrive.",
	  "local: 10.1.0.0/24" },
	{ "policies[].remote", "network, range or address", "any", NULL, "The other side.",
	  "remote: 198.51.100.0/24" },
	{ "policies[].protocol", "protocol", "any", NULL,
	  "icmp, icmpv6, igmp, tcp, udp, gre, ospf, sctp, or a number from 0 to 255.", "protocol: icmp" },
	{ "policies[].local-port", "number", "0", NULL,
	  "The port on our side, for tcp, udp and sctp; 0 is any.",
	  "protocol: tcp\nlocal-port: 22" },
	{ "policies[].remote-port", "number", "0", NULL, "The port on the other side; 0 is any.",
	  "protocol: tcp\nremote-port: 443" },

	{ .path = "peers[]", .meaning = "The gateways at the other ends of tunnels." },
	{ "peers[].name", "name", NULL, NULL, "What logs, statistics and shrikectl call it.",
	  "name: gw-b" },
	{ "peers[].local", "address", NULL, NULL, "Our address towards this peer: one of a port.",
	  "local: 198.51.100.1" },
	{ "peers[].remote", "address or any", NULL, NULL,
	  "The peer's address. any: the peer may come from anywhere, and only it can begin.",
	  "remote: 203.0.113.7" },
	{ "peers[].local-id", "identity", NULL,
	  "the address; with a certificate that does not hold it, the certificate's subject",
	  "Who we say we are: an address, a domain name, user@host, a distinguished name or "
	  "keyid:hex.",
	  "local-id: gwa.example.org" },
	{ "peers[].remote-id", "identity", NULL, "the peer's address; with remote: any, anybody",
	  "Who the peer must say it is. With certificates it must stand in the peer's certificate: "
	  "in "
	  "the subjectAltName, or as its subject.",
	  "remote-id: \"C=DE, O=Example, CN=gwb\"" },
	{ "peers[].exchange", "main or aggressive", "main", NULL,
	  "The exchange of phase 1, whoever begins. aggressive: Aggressive Mode, three messages instead "
	  "of six, for peers that know nothing else, and for peers with pre-shared keys that come from "
	  "anywhere and are known by their identity alone. It shows both identities (and certificates) "
	  "to everybody on the way. With a pre-shared key it also shows anybody who asks a hash made "
	  "with the key, from which a weak key can be found by trying: choose a long random one. All "
	  "proposals need the same group.",
	  "proposals: [aes256-sha256-modp2048]\nexchange: aggressive" },
	{ "peers[].auth", "psk, rsa, ecdsa, hybrid or kerberos", "psk", NULL,
	  "How both sides prove who they are: a pre-shared key, or certificates with RSA keys or "
	  "with "
	  "keys on P-256, P-384 or P-521. hybrid: the side with xauth: server by an RSA certificate, "
	  "the client by its user alone. kerberos: by tickets of a KDC, as Windows does.",
	  "auth: rsa\ncertificate: gwa.pem\nkey: gwa.key\nlocal-id: gwa" },
	{ "peers[].principal", "principal", NULL, "needed with auth: kerberos",
	  "Our Kerberos principal, with its realm. Windows calls the method Kerberos; the KDC is found by "
	  "krb5.conf (KRB5_CONFIG).",
	  KERBEROS_EXAMPLE },
	{ "peers[].remote-principal", "principal", NULL, "needed with auth: kerberos",
	  "The peer's principal: we ask for a ticket for no other, and take none from another.",
	  KERBEROS_EXAMPLE },
	{ "peers[].keytab", "file name", NULL, "needed with auth: kerberos",
	  "The keytab with the key of our principal; mode 0600 or 0400.",
	  KERBEROS_EXAMPLE },
	{ "peers[].secret", "name of a secret", NULL, "needed with auth: psk",
	  "The pre-shared key. Peers with the same addresses need the same one: in Main Mode the "
	  "key "
	  "is needed before the peer can say who it is.",
	  "secret: site-b" },
	{ "peers[].certificate", "file name", NULL, "needed with auth: rsa and ecdsa",
	  "Our certificate (PEM or DER), with intermediate authorities behind it in the same file.",
	  "auth: rsa\nkey: gwa.key\nlocal-id: gwa\ncertificate: gwa.pem" },
	{ "peers[].key", "file name", NULL, "needed with auth: rsa and ecdsa",
	  "The key of our certificate (PEM or DER); mode 0600 or 0400.",
	  "auth: rsa\ncertificate: gwa.pem\nlocal-id: gwa\nkey: gwa.key" },
	{ "peers[].passphrase-file", "file name", NULL, "the key is not encrypted",
	  "The passphrase of an encrypted key, in a file of mode 0600 or 0400.",
	  "auth: rsa\ncertificate: gwa.pem\nlocal-id: gwa\nkey: gwa-encrypted.key\n"
	  "passphrase-file: gwa.pass" },
	{ "peers[].proposals", "list of phase 1 proposals", NULL, NULL,
	  "What is offered and accepted for the Main Mode SA, by preference: encryption, hash and "
	  "group joined by hyphens. " WEAK_NOTE,
	  "proposals: [aes256-sha256-modp2048, aes128-sha256-ecp256]" },
	{ "peers[].lifetime", "duration", "4h", NULL,
	  "How long a Main Mode SA lives, from 10s to 7d. The shorter of both sides' lifetimes "
	  "holds.",
	  "lifetime: 8h" },
	{ "peers[].lifetime-bytes", "size", NULL, "no limit",
	  "How many bytes of negotiation one Main Mode SA may protect, from 64K; then a new one is "
	  "negotiated.",
	  "lifetime-bytes: 10M" },
	{ "peers[].quick-mode-limit", "number", "0", NULL,
	  "How many Quick Modes one Main Mode SA may carry; then a new one is negotiated, so that "
	  "the master key is renewed by number of uses as well as by time. 0: any number.",
	  "quick-mode-limit: 10" },
	{ "peers[].master-pfs", "yes or no", "no", NULL,
	  "yes: perfect forward secrecy of the master key, a new Main Mode for every Quick Mode: "
	  "the same as quick-mode-limit: 1.",
	  "master-pfs: yes" },
	{ "peers[].idle-timeout", "duration", "0", NULL,
	  "A child without a packet for that long is taken down, and brought up again by the next "
	  "packet; a Main Mode SA without children for that long is deleted. 0: never, or from 10s.",
	  "idle-timeout: 30m" },
	{ "peers[].rekey-margin", "duration", NULL, "a tenth of the lifetime",
	  "How long before its end the next Main Mode begins, plus up to as much again at random; "
	  "less than half of the lifetime.",
	  "lifetime: 8h\nrekey-margin: 9m" },
	{ "peers[].dpd", "duration", "0", NULL,
	  "Dead peer detection: how long the peer may be silent before it is asked whether it is "
	  "still there. 0: never. The peer's own questions are always answered.",
	  "dpd: 30s" },
	{ "peers[].dpd-mode", "periodic or on-demand", "periodic", NULL,
	  "periodic: the peer is asked whenever nothing came from it for the time of dpd, ESP "
	  "included. on-demand: only when packets went out as well and none came back.",
	  "dpd: 30s\ndpd-mode: on-demand" },
	{ "peers[].encapsulation", "auto or force", "auto", NULL,
	  "auto: ESP goes in UDP when there is a NAT between the gateways. force: always.",
	  "encapsulation: force" },
	{ "peers[].fragmentation", "yes, no or force", "yes", NULL,
	  "Cutting of long negotiation messages (certificates) into packets that need no "
	  "fragmentation by IP, which firewalls and NATs on the way often lose. yes: offered, and "
	  "done when the peer says that it takes them. force: also before the peer has said so, "
	  "and when it never does. no: neither sent nor accepted.",
	  "fragmentation: force" },
	{ "peers[].fragment-size", "number", "1280", NULL,
	  "The longest packet of a negotiation in bytes, with IP and UDP headers, from 256 to 9000; "
	  "what is longer is cut.",
	  "fragment-size: 576" },
	{ "peers[].sha256-96", "yes or no", "no", NULL,
	  "yes: the peer cuts HMAC-SHA-256 at 96 bits, as was usual before RFC 4868 (old Linux "
	  "kernels and Android); the negotiation cannot tell. Turns sha256 of all children into "
	  "sha256_96.",
	  "sha256-96: yes" },
	{ "peers[].retries", "number", "5", NULL,
	  "How often a message is sent again before the peer counts as silent, from 1 to 20.",
	  "retries: 8" },
	{ "peers[].retry-interval", "duration", "1s", NULL,
	  "How long to wait for an answer before the first repeat, from 100ms to 60s; each repeat "
	  "waits longer than the one before.",
	  "retry-interval: 2s" },

	{ "peers[].xauth", "no, server or client", "no", NULL,
	  "After phase 1 the server asks the client for a user and a password, and nothing of phase 2 "
	  "passes before that. Who shares a secret or an identity with others is told apart by the "
	  "user: with remote: any, many clients are up at once. A client that comes again under the "
	  "same user from the same address takes its own place; from another address it is a second "
	  "device. Wrong passwords are limited, by source and by user.",
	  "xauth: server\nusers: users.txt" },
	{ "peers[].users", "file name", NULL, "needed with xauth: server, unless pam is there",
	  "Lines of user:hash, the hash as crypt(3) makes it (openssl passwd -6). Mode 0600 or 0400, "
	  "read again on SIGHUP.",
	  "users: users.txt\nxauth: server" },
	{ "peers[].pam", "name of a PAM service", NULL, "needed with xauth: server, unless users is there",
	  "Users as PAM knows them by that service, a file in /etc/pam.d.",
	  "pam: shrike\nxauth: server" },
	{ "peers[].xauth-user", "name", NULL, "needed with xauth: client", "Who we are.",
	  "xauth-user: alice\nxauth: client\nxauth-password-file: alice.pass" },
	{ "peers[].xauth-password-file", "file name", NULL, "needed with xauth: client",
	  "Its first line is our password. Mode 0600 or 0400.",
	  "xauth-password-file: alice.pass\nxauth: client\nxauth-user: alice" },
	{ "peers[].mode-config", "no, pull or push", NULL, "pull with a pool, otherwise no",
	  "Who has a pool gives an address and what goes with it, the other side takes it. pull: it is "
	  "asked for; push: it is sent unasked. Both sides must mean the same, but a server that pushes "
	  "answers those who ask, too.",
	  "mode-config: pull" },
	{ "peers[].pool", "network or range", NULL, "we give no addresses",
	  "Addresses for those who come: children with remote: [pool] are theirs, each address for "
	  "whom it is leased to. Of a network, all but the first and the last; at most 16384. A user "
	  "gets the address that it had, for as long as nobody else needs it, and others are free. Packets "
	  "to it must be routed to us: there is no proxy ARP.",
	  "pool: 10.99.0.0/24" },
	{ "peers[].dns", "list of addresses", "[]", NULL, "Name servers that are told with an address.",
	  "dns: [10.1.0.53]\npool: 10.99.0.0/24" },
	{ "peers[].nbns", "list of addresses", "[]", NULL, "WINS servers, likewise.",
	  "nbns: [10.1.0.54]\npool: 10.99.0.0/24" },
	{ "peers[].split", "list of networks", NULL,
	  "the local networks of the children with the pool; nothing when one is everything",
	  "Networks that the client reaches through us, and others not. Nothing: everything goes through "
	  "us.",
	  "split: [10.1.0.0/16]\npool: 10.99.0.0/24" },
	{ "peers[].local-lan", "list of networks", "[]", NULL,
	  "Networks that the client reaches without us, for those who know Cisco's attributes.",
	  "local-lan: [192.168.0.0/16]\npool: 10.99.0.0/24" },
	{ "peers[].domain", "domain name", NULL, "none is told",
	  "The client's domain (Cisco's attribute, like all that follow).",
	  "domain: example.net\npool: 10.99.0.0/24" },
	{ "peers[].split-dns", "list of domain names", "[]", NULL,
	  "Names that the client asks our name servers for, and others not.",
	  "split-dns: [example.net]\npool: 10.99.0.0/24" },
	{ "peers[].banner", "text", NULL, "none is told", "A text that the client shows.",
	  "banner: Authorized use only\npool: 10.99.0.0/24" },
	{ "peers[].save-password", "yes or no", "no", NULL,
	  "Whether the client may keep its user's password.",
	  "pool: 10.99.0.0/24\nsave-password: yes" },
	{ .path = "peers[].children[]",
	  .meaning =
		  "What goes through the tunnel to this peer: each child becomes an SA pair, and "
		  "lists of networks one SA pair for every pair of networks." },
	{ "peers[].children[].name", "name", NULL, NULL,
	  "What logs, statistics and shrikectl call it. Of several pairs of networks the second is "
	  "called NAME-2, and so on.",
	  "name: net" },
	{ "peers[].children[].local", "list of networks, ranges or addresses", NULL, NULL,
	  "The networks on our side; assigned: the address that Mode Config gives us.",
	  "local: [10.1.0.0/24]" },
	{ "peers[].children[].remote", "list of networks, ranges or addresses", NULL, NULL,
	  "The networks on the peer's side; pool: each address of the peer's pool, for whom it is leased "
	  "to.", "remote: [10.2.0.0/24, 10.3.0.0/24]" },
	{ "peers[].children[].protocol", "protocol", "any", NULL,
	  "Only this protocol: icmp, icmpv6, igmp, tcp, udp, gre, ospf, sctp, or a number.",
	  "protocol: tcp" },
	{ "peers[].children[].local-port", "number", "0", NULL,
	  "Only this port on our side, for tcp, udp and sctp; 0 is any.",
	  "protocol: tcp\nlocal-port: 443" },
	{ "peers[].children[].remote-port", "number", "0", NULL,
	  "Only this port on the peer's side; 0 is any.", "protocol: udp\nremote-port: 53" },
	{ "peers[].children[].proposals", "list of phase 2 proposals", NULL, NULL,
	  "What is offered and accepted for the SA pair, by preference: encryption (aes128, aes256ctr, "
	  "aes128gcm16, aes128gmac, 3des, null, ...; or ah for AH: ah-sha256, "
	  "ah-aes128gmac), integrity unless "
	  "the cipher brings its own, and a group for perfect forward secrecy, joined by hyphens. "
	  "All "
	  "proposals of a child have the same group or none. " WEAK_NOTE,
	  "proposals: [aes128gcm16-modp2048, aes256-sha256-modp2048]" },
	{ "peers[].children[].mode", "tunnel or transport", "tunnel", NULL,
	  "transport protects only packets between the two gateways themselves.", "mode: tunnel" },
	{ "peers[].children[].lifetime", "duration", "1h", NULL,
	  "How long an SA pair lives, from 10s to 7d. The shorter of both sides' lifetimes holds.",
	  "lifetime: 2h" },
	{ "peers[].children[].lifetime-bytes", "size", NULL, "no limit",
	  "How many bytes an SA may carry, from 1M. New keys are negotiated early enough for the "
	  "rate of late; a warning says when the limit is too small for it.",
	  "lifetime-bytes: 100G" },
	{ "peers[].children[].lifetime-packets", "number", NULL, "no limit",
	  "How many packets an SA may carry, from 1000. The peer is not told: IKEv1 cannot.",
	  "lifetime-packets: 1000000000" },
	{ "peers[].children[].fallback-clear", "yes or no", "no", NULL,
	  "yes: while no SA can be negotiated the child's packets pass unprotected, in both "
	  "directions, instead of being discarded; a new attempt is made every five minutes, and "
	  "the first SA ends it. Logged, an event, and 'clear' in the statistics whenever it is so.",
	  "fallback-clear: yes" },
	{ "peers[].children[].idle-timeout", "duration", NULL, "the peer's",
	  "How long the child may be without a packet before it is taken down; the next packet "
	  "brings it up again. 0: never, or from 10s.",
	  "idle-timeout: 10m" },
	{ "peers[].children[].rekey-margin", "duration", NULL, "a tenth of the lifetime",
	  "How long before its end the next Quick Mode begins, plus up to as much again at random; "
	  "less than half of the lifetime.",
	  "lifetime: 2h\nrekey-margin: 5m" },
	{ "peers[].children[].start", "immediate, passive or on-demand", NULL,
	  "on-demand; with remote: any, passive",
	  "immediate: negotiate at once, and again whenever it is missing. on-demand: when a "
	  "packet "
	  "wants it. passive: only answer.",
	  "start: immediate" },
	{ "peers[].children[].replay-window", "number", "1024", NULL,
	  "How far behind the newest a packet may arrive, in packets: a power of two from 64 to "
	  "4096.",
	  "replay-window: 4096" },
	{ "peers[].children[].df", "copy, set or clear", "copy", NULL,
	  "The outer packet's Don't Fragment bit: copied from the inner packet, always or never "
	  "set. With clear a packet that is too large for the tunnel goes into it whole, even if it "
	  "forbids fragments itself, and the outer packet is cut.",
	  "df: clear" },
	{ "peers[].children[].copy-dscp", "yes or no", "no", NULL,
	  "yes: the outer packet gets the inner packet's DSCP, which tells the network between the "
	  "gateways what kind of traffic it is.",
	  "copy-dscp: yes" },
	{ "peers[].children[].dscp", "number", "0", NULL,
	  "The DSCP of all outer packets, from 0 to 63, where it is not copied.", "dscp: 46" },
	{ "peers[].children[].sa-pairs", "number or per-lcore", "1", NULL,
	  "SA pairs with the same selectors, each owned by another worker lcore, so that one tunnel "
	  "uses several CPUs; per-lcore: as many as there are workers. Each is renewed on its own. "
	  "Both gateways should say the same.",
	  "sa-pairs: per-lcore" },
	{ "peers[].children[].esn", "no, yes or prefer", "no", NULL,
	  "Extended sequence numbers (64 bits), for pairs that carry more than four thousand million "
	  "packets. prefer: offer and accept both. The proposals may say it instead (esn, noesn).",
	  "esn: prefer" },
	{ "peers[].children[].clamp-mss", "no, auto or number", "no", NULL,
	  "Lowers the segment size that TCP connections through the tunnel announce when they begin, "
	  "on both sides: to what fits into one packet of the way as it is known (auto), or to this "
	  "number of bytes, from 128 to 9600.",
	  "clamp-mss: auto" },
};

const size_t config_options_n = sizeof(config_options) / sizeof(config_options[0]);

const char config_reference_example[] = "system:\n"
					"  control-core: 0\n"
					"  worker-cores: [1]\n"
					"ports:\n"
					"  - name: wan\n"
					"    device: 0000:3b:00.0\n"
					"    addresses: [198.51.100.1/24]\n"
					"  - name: lan\n"
					"    device: 0000:3b:00.1\n"
					"    addresses: [10.1.0.254/24]\n"
					"routes:\n"
					"  - to: 0.0.0.0/0\n"
					"    via: 198.51.100.254\n"
					"secrets:\n"
					"  - name: site-b\n"
					"    file: site-b.psk\n"
					"peers:\n"
					"  - name: gw-b\n"
					"    local: 198.51.100.1\n"
					"    remote: 203.0.113.7\n"
					"    secret: site-b\n"
					"    proposals: [aes256-sha256-modp2048]\n"
					"    dpd: 30s\n"
					"    children:\n"
					"      - name: net\n"
					"        local: [10.1.0.0/24]\n"
					"        remote: [10.2.0.0/24]\n"
					"        proposals: [aes128gcm16]\n"
					"        start: immediate\n";
