#!/bin/sh
# Makes a time-stamping authority in a folder: its certificate tsa.pem, the one that issued it, ca.pem, and one of the same name that did not.
set -eu
cd "$1"
cat >tsa.cnf <<'END'
[ req ]
distinguished_name = dn
prompt = no
[ dn ]
CN = test
[ ca ]
basicConstraints = critical,CA:true
[ stamps ]
extendedKeyUsage = critical,timeStamping
[ tsa ]
default_tsa = own
[ own ]
serial = ./serial
signer_cert = ./tsa.pem
certs = ./ca.pem
signer_key = ./tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
END
for name in ca other; do
    openssl ecparam -genkey -name prime256v1 -noout -out $name.key
    openssl req -x509 -new -key $name.key -subj /CN=ca -days 2 -out $name.pem -config tsa.cnf -extensions ca
done
openssl genrsa -out tsa.key 2048
openssl req -new -key tsa.key -subj /CN=tsa -out tsa.csr -config tsa.cnf
openssl x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile tsa.cnf -extensions stamps -out tsa.pem
echo 01 >serial
