# shellcheck shell=bash
# Certificates of scripts that need some: authorities, what they issue, and both gateways configured with them. Source
# lib.sh, strongswan.sh and site.sh first; everything lives in $STATE/pki.

# ca_new NAME [ISSUER]: a CA with a directory of its own
ca_new() {
	local dir=$STATE/pki/$1 name=$1 issuer=${2:-}
	mkdir -p "$dir/certs"
	: >"$dir/index"
	cat >"$dir/ca.cnf" <<C
[ca]
default_ca = d
[d]
database = $dir/index
new_certs_dir = $dir/certs
certificate = $dir/ca.pem
private_key = $dir/ca.key
rand_serial = yes
unique_subject = no
default_md = sha256
default_days = 30
default_crl_days = 30
policy = p
[p]
countryName = optional
organizationName = optional
commonName = supplied
[ca_ext]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
C
	key_new "$dir/ca.key" P-256
	if [ -z "$issuer" ]; then
		openssl req -new -x509 -days 30 -key "$dir/ca.key" -subj "/C=DE/O=Lab/CN=$name" -config "$dir/ca.cnf" \
			-extensions ca_ext -out "$dir/ca.pem"
	else
		issue "$issuer" "$dir/ca.key" "$name" "$dir/ca.pem" "$(sed -n '/^\[ca_ext\]/,$p' "$dir/ca.cnf" | tail -n +2)"
	fi
}

# key_new FILE RSA|CURVE
key_new() {
	if [ "$2" = RSA ]; then
		openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$1"
	else
		openssl genpkey -algorithm EC -pkeyopt "ec_paramgen_curve:$2" -out "$1"
	fi
	chmod 600 "$1"
}

# issue CA KEY CN FILE EXTENSIONS [OPTIONS of "openssl ca"...]
issue() {
	local ca=$1 key=$2 cn=$3 file=$4
	printf '%s\n' "$5" >"$STATE/pki/ext"
	openssl req -new -key "$key" -subj "/C=DE/O=Lab/CN=$cn" -out "$STATE/pki/csr"
	openssl ca -batch -notext -config "$STATE/pki/$ca/ca.cnf" -in "$STATE/pki/csr" -out "$file" \
		-extfile "$STATE/pki/ext" "${@:6}"
}

# --------------------------------------------------------------------------- configuration --------

# shrike_cert AUTH CERTIFICATE KEY LOCAL_ID REMOTE_ID [CA...]: restarts shrike with that; PKI_TOP: more lines at the
# top of the configuration, joined by \n
shrike_cert() {
	local conf=$STATE/gw/shrike.yaml cas=$STATE/pki/Lab/ca.pem ca
	for ca in "${@:6}"; do cas+=", $STATE/pki/$ca/ca.pem"; done
	shrike_down gw
	shrike_conf gw <<<"$CHILDREN"
	sed -i -e '/^secrets:/,/file: site-b.psk/d' \
		-e "s|^    secret: site-b|    auth: $1\n    certificate: $STATE/pki/$2\n    key: $STATE/pki/$3|" \
		-e "s|^    local-id:.*|    local-id: \"$4\"|" -e "s|^    remote-id:.*|    remote-id: \"$5\"|" \
		-e "s|^peers:|authorities: [$cas]\n${PKI_TOP:+$PKI_TOP\n}peers:|" "$conf"
	shrike_up gw s
}

# swan_cert CERTIFICATE KEY LOCAL_ID REMOTE_ID [CA...]: strongSwan takes that, and trusts only those CAs
swan_cert() {
	local d=$STATE/peer/swanctl ca
	swan_write
	sed -i -e 's/auth = psk/auth = pubkey/' -e "s|id = gwb\$|id = \"$3\"\n      certs = gwb.pem|" \
		-e "s|id = gwa\$|id = \"$4\"|" "$d/swanctl.conf"
	rm -f "$d"/x509/* "$d"/x509ca/* "$d"/private/*
	cp "$STATE/pki/$1" "$d/x509/gwb.pem"
	cp "$STATE/pki/$2" "$d/private/gwb.key"
	for ca in "${@:5}"; do cp "$STATE/pki/$ca/ca.pem" "$d/x509ca/$ca.pem"; done
	swan peer --load-creds --clear --file "$d/swanctl.conf" >/dev/null 2>&1
	swan peer --load-all --file "$d/swanctl.conf" >"$STATE/peer/load.log" 2>&1
}

swan_write() {
	swan_conf peer 2 <<<"$CHILDREN"
	sed -i 's/\(load = .*\)pem pkcs1/\1pem pkcs8 pkcs1/' "$STATE/peer/strongswan.conf"
}
