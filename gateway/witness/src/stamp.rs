//! `proof stamp`: a time stamp (RFC 3161) for a file: asked for, checked, and written beside it. It trusts no authority that the caller did not
//! name.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use cms::cert::CertificateChoices;
use cms::content_info::ContentInfo;
use cms::signed_data::{SignedData, SignerIdentifier, SignerInfo};
use der::asn1::{Int, Null, ObjectIdentifier, OctetString};
use der::{Any, Decode as _, DecodePem as _, Encode as _};
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use serde_json::json;
use x509_cert::Certificate;
use x509_cert::spki::{AlgorithmIdentifier, SubjectPublicKeyInfoOwned};
use x509_tsp::{MessageImprint, TimeStampReq, TimeStampResp, TspVersion, TstInfo};

use crate::error::Error;
use crate::http::Client;
use crate::{Stamp, Voice, disk};

const OID_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const OID_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const OID_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");
const OID_SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const OID_TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const OID_CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const OID_MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const OID_SIGNING_CERTIFICATE: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.12");
const OID_SIGNING_CERTIFICATE_V2: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
const OID_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const OID_SHA256_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const OID_SHA384_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const OID_SHA512_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
const OID_ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const OID_ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const OID_P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const OID_P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const OID_EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const OID_TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");

/// The bytes of a nonce.
const NONCE_BYTES: usize = 8;

/// Gets a stamp for a file.
pub(crate) fn stamp(asked: &Stamp, voice: Voice) -> Result<bool, Error> {
    let hash = hash_of(&asked.file)?;
    let ca = asked.ca.as_deref().map(certificate).transpose()?;
    let nonce = nonce()?;
    let request = request(&hash, nonce.clone())
        .map_err(|error| Error::Refused(format!("no request can be made: {error}")))?;
    let answer = Client::new().post(&asked.tsa, "application/timestamp-query", &request);
    let answer = answer
        .map_err(|error| Error::Refused(format!("'{}' cannot be asked: {error}", asked.tsa)))?;
    if answer.status != 200 {
        return Err(Error::Refused(format!(
            "'{}' answered {}",
            asked.tsa, answer.status
        )));
    }
    let refused = |why: String| {
        Error::Refused(format!(
            "the answer of '{}' is no stamp for this file: {why}",
            asked.tsa
        ))
    };
    let time = check(&answer.body, &hash, &nonce, ca.as_ref()).map_err(refused)?;
    let out = asked.out.clone().unwrap_or_else(|| beside(&asked.file));
    disk::write(&out, &answer.body).map_err(Error::file("write", &out))?;
    let trusted = if ca.is_some() {
        ""
    } else {
        " (nobody was named whose word is taken for it: --ca names the certificate)"
    };
    let document = json!({ "file": out, "time": time, "trusted": ca.is_some() });
    voice.answer(
        &document,
        &format!("stamped at {time} in {}{trusted}", out.display()),
    );
    Ok(true)
}

fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".tsr");
    name.into()
}

fn hash_of(file: &Path) -> Result<[u8; 32], Error> {
    let mut source = File::open(file).map_err(Error::file("open", file))?;
    let mut context = Context::new(&SHA256);
    let mut piece = vec![0; 1 << 16];
    loop {
        let read = source.read(&mut piece).map_err(Error::file("read", file))?;
        let Some(part) = piece.get(..read).filter(|part| !part.is_empty()) else {
            break;
        };
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    Ok(hash)
}

fn certificate(path: &Path) -> Result<Certificate, Error> {
    let pem = disk::read(path)
        .map_err(Error::file("read", path))?
        .unwrap_or_default();
    Certificate::from_pem(pem)
        .map_err(|error| Error::Usage(format!("'{}' is no certificate: {error}", path.display())))
}

fn nonce() -> Result<Int, Error> {
    let mut bytes = [0; NONCE_BYTES];
    let drawn = SystemRandom::new().fill(&mut bytes);
    drawn.map_err(|_| Error::Refused("the system gives no randomness".to_owned()))?;
    // Positive, and in its shortest form.
    bytes[0] = bytes[0] & 0x3f | 0x40;
    Int::new(&bytes).map_err(|error| Error::Refused(error.to_string()))
}

fn request(hash: &[u8; 32], nonce: Int) -> der::Result<Vec<u8>> {
    TimeStampReq {
        version: TspVersion::V1,
        message_imprint: MessageImprint {
            hash_algorithm: AlgorithmIdentifier {
                oid: OID_SHA256,
                parameters: Some(Any::from_der(&Null.to_der()?)?),
            },
            hashed_message: OctetString::new(hash.as_slice())?,
        },
        req_policy: None,
        nonce: Some(nonce),
        cert_req: true,
        extensions: None,
    }
    .to_der()
}

/// Checks an answer: that it is a stamp for this hash and this request, signed by the certificate in it, which is one for time stamps and, where
/// the caller named one, was issued by that. Gives the time.
fn check(
    answer: &[u8],
    hash: &[u8; 32],
    nonce: &Int,
    ca: Option<&Certificate>,
) -> Result<String, String> {
    let words = |error: der::Error| error.to_string();
    let answer = TimeStampResp::from_der(answer).map_err(words)?;
    let status = answer.status.status as u32;
    // Granted, or granted with changes.
    if status > 1 {
        return Err(format!("the authority refused (status {status})"));
    }
    let token: ContentInfo = answer.time_stamp_token.ok_or("it holds no stamp")?;
    if token.content_type != OID_SIGNED_DATA {
        return Err("it is not signed data".to_owned());
    }
    let signed: SignedData = token.content.decode_as().map_err(words)?;
    if signed.encap_content_info.econtent_type != OID_TST_INFO {
        return Err("it does not hold a time stamp".to_owned());
    }
    let content = signed
        .encap_content_info
        .econtent
        .as_ref()
        .ok_or("it holds nothing")?;
    let content: OctetString = content.decode_as().map_err(words)?;
    let info = TstInfo::from_der(content.as_bytes()).map_err(words)?;
    let imprint = &info.message_imprint;
    if imprint.hash_algorithm.oid != OID_SHA256 || imprint.hashed_message.as_bytes() != hash {
        return Err("it is for another file".to_owned());
    }
    if info.nonce.as_ref() != Some(nonce) {
        return Err("it is for another request".to_owned());
    }
    let [signer] = signed.signer_infos.0.as_slice() else {
        return Err("it has not exactly one signature".to_owned());
    };
    let certificate = signer_certificate(&signed, signer)?;
    check_signature(signer, content.as_bytes(), &certificate)?;
    check_certificate(&certificate, ca, info.gen_time.to_unix_duration())?;
    Ok(info.gen_time.to_date_time().to_string())
}

fn signer_certificate(signed: &SignedData, signer: &SignerInfo) -> Result<Certificate, String> {
    let SignerIdentifier::IssuerAndSerialNumber(wanted) = &signer.sid else {
        return Err("it names its signer in an unusual way".to_owned());
    };
    let certificates = signed.certificates.iter().flat_map(|set| set.0.iter());
    let found = certificates
        .filter_map(|choice| match choice {
            CertificateChoices::Certificate(certificate) => Some(certificate),
            CertificateChoices::Other(_) => None,
        })
        .find(|certificate| {
            certificate.tbs_certificate.issuer == wanted.issuer
                && certificate.tbs_certificate.serial_number == wanted.serial_number
        });
    found
        .cloned()
        .ok_or_else(|| "its signer's certificate is not in it".to_owned())
}

fn check_signature(
    signer: &SignerInfo,
    content: &[u8],
    certificate: &Certificate,
) -> Result<(), String> {
    let words = |error: der::Error| error.to_string();
    let attributes = signer
        .signed_attrs
        .as_ref()
        .ok_or("nothing in it is signed")?;
    let value = |oid: ObjectIdentifier| {
        let found = attributes.iter().find(|attribute| attribute.oid == oid)?;
        match found.values.as_slice() {
            [value] => Some(value),
            _ => None,
        }
    };
    let algorithm = match signer.digest_alg.oid {
        OID_SHA256 => &SHA256,
        OID_SHA384 => &SHA384,
        OID_SHA512 => &SHA512,
        other => return Err(format!("its hash {other} is not one that is taken")),
    };
    let kind: ObjectIdentifier = value(OID_CONTENT_TYPE)
        .ok_or("it does not sign what it is")?
        .decode_as()
        .map_err(words)?;
    let signed: OctetString = value(OID_MESSAGE_DIGEST)
        .ok_or("it does not sign its content")?
        .decode_as()
        .map_err(words)?;
    if kind != OID_TST_INFO || signed.as_bytes() != digest(algorithm, content).as_ref() {
        return Err("it signs another content".to_owned());
    }
    // The certificate is named in what is signed, so that no other of the same key can take its place (RFC 5816).
    let der = certificate.to_der().map_err(words)?;
    let named = [
        (OID_SIGNING_CERTIFICATE_V2, &SHA256),
        (OID_SIGNING_CERTIFICATE_V2, &SHA384),
        (OID_SIGNING_CERTIFICATE_V2, &SHA512),
        (OID_SIGNING_CERTIFICATE, &SHA1_FOR_LEGACY_USE_ONLY),
    ];
    let named = named.into_iter().any(|(oid, hash)| {
        let expected = digest(hash, &der);
        value(oid).is_some_and(|value| {
            let held = value.value();
            held.windows(expected.as_ref().len())
                .any(|part| part == expected.as_ref())
        })
    });
    if !named {
        return Err("it does not name its signer's certificate".to_owned());
    }
    let message = attributes.to_der().map_err(words)?;
    let key = &certificate.tbs_certificate.subject_public_key_info;
    verify(
        key,
        signer.signature_algorithm.oid,
        signer.digest_alg.oid,
        &message,
        signer.signature.as_bytes(),
    )
}

fn check_certificate(
    certificate: &Certificate,
    ca: Option<&Certificate>,
    at: std::time::Duration,
) -> Result<(), String> {
    let words = |error: der::Error| error.to_string();
    let tbs = &certificate.tbs_certificate;
    let usage = tbs
        .extensions
        .iter()
        .flatten()
        .find(|extension| extension.extn_id == OID_EXTENDED_KEY_USAGE);
    let purposes =
        usage.map(|usage| Vec::<ObjectIdentifier>::from_der(usage.extn_value.as_bytes()));
    let purposes = purposes.transpose().map_err(words)?.unwrap_or_default();
    if purposes != [OID_TIME_STAMPING] {
        return Err("its signer's certificate is not one for time stamps alone".to_owned());
    }
    let (from, until) = (
        tbs.validity.not_before.to_unix_duration(),
        tbs.validity.not_after.to_unix_duration(),
    );
    if at < from || at > until {
        return Err("its signer's certificate was not valid at that time".to_owned());
    }
    let Some(ca) = ca.filter(|ca| *ca != certificate) else {
        return Ok(());
    };
    let issuer = &ca.tbs_certificate;
    if tbs.issuer != issuer.subject {
        return Err("its signer's certificate was issued by somebody else".to_owned());
    }
    let message = tbs.to_der().map_err(words)?;
    let signature = certificate
        .signature
        .as_bytes()
        .ok_or("its signer's certificate has no signature")?;
    let algorithm = certificate.signature_algorithm.oid;
    verify(
        &issuer.subject_public_key_info,
        algorithm,
        algorithm,
        &message,
        signature,
    )
    .map_err(|_| "its signer's certificate was not signed by the one that was named".to_owned())
}

/// Verifies a signature; where the algorithm leaves the hash open, it is the given one.
fn verify(
    key: &SubjectPublicKeyInfoOwned,
    algorithm: ObjectIdentifier,
    hash: ObjectIdentifier,
    message: &[u8],
    signature: &[u8],
) -> Result<(), String> {
    let curve = key
        .algorithm
        .parameters
        .as_ref()
        .and_then(|curve| curve.decode_as::<ObjectIdentifier>().ok());
    let verifier: &dyn VerificationAlgorithm = match (algorithm, hash, curve) {
        (OID_SHA256_RSA, _, _) | (OID_RSA, OID_SHA256, _) => &signature::RSA_PKCS1_2048_8192_SHA256,
        (OID_SHA384_RSA, _, _) | (OID_RSA, OID_SHA384, _) => &signature::RSA_PKCS1_2048_8192_SHA384,
        (OID_SHA512_RSA, _, _) | (OID_RSA, OID_SHA512, _) => &signature::RSA_PKCS1_2048_8192_SHA512,
        (OID_ECDSA_SHA256, _, Some(OID_P256)) => &signature::ECDSA_P256_SHA256_ASN1,
        (OID_ECDSA_SHA384, _, Some(OID_P256)) => &signature::ECDSA_P256_SHA384_ASN1,
        (OID_ECDSA_SHA256, _, Some(OID_P384)) => &signature::ECDSA_P384_SHA256_ASN1,
        (OID_ECDSA_SHA384, _, Some(OID_P384)) => &signature::ECDSA_P384_SHA384_ASN1,
        (other, ..) => {
            return Err(format!(
                "its signature's kind {other} is not one that is taken"
            ));
        }
    };
    let bytes = key.subject_public_key.as_bytes().unwrap_or_default();
    UnparsedPublicKey::new(verifier, bytes)
        .verify(message, signature)
        .map_err(|_| "its signature does not hold".to_owned())
}
