//! Vonage's signed webhooks: a JWT in the `Vonage-Signature` header, made with the subscription's
//! secret, that carries a hash of the body and expires after five minutes (its Webhooks API,
//! "Security").
//!
//! The algorithm is HS256 and nothing else: what the token itself says of its algorithm is compared,
//! never obeyed. The page does not settle how the hash is named and made, so the names that Vonage's
//! APIs use are taken, as SHA-256 or as HMAC-SHA256 with the secret.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::event::Micros;
use crate::systems::Unverified;

pub const HEADER: &str = "vonage-signature";

/// How far two clocks may differ, in seconds.
const LEEWAY: i64 = 60;
/// How long a token without an expiry is good for, in seconds.
const LIFETIME: i64 = 300;
const HASH_CLAIMS: &[&str] = &["payload_hash", "payloadHash", "body_hash", "bodyHash"];

/// Checks the token, and that it was made for this body.
pub fn verify(token: &str, body: &[u8], secret: &str, now: Micros) -> Result<(), Unverified> {
    let secret = STANDARD.decode(secret.trim()).unwrap_or_else(|_| secret.as_bytes().to_vec());
    let (signed, signature) = token.rsplit_once('.').ok_or(Unverified("it is no JWT"))?;
    let (header, claims) = signed.split_once('.').ok_or(Unverified("it is no JWT"))?;
    let header = json(header).ok_or(Unverified("its header cannot be read"))?;
    if header.get("alg").and_then(Value::as_str) != Some("HS256") {
        return Err(Unverified("its algorithm is not HS256"));
    }
    let signature =
        URL_SAFE_NO_PAD.decode(signature).map_err(|_| Unverified("its signature is no base64"))?;
    if !bool::from(mac(&secret, signed.as_bytes()).ct_eq(signature.as_slice())) {
        return Err(Unverified("it was not made with this secret"));
    }
    let claims = json(claims).ok_or(Unverified("its claims cannot be read"))?;
    in_time(&claims, now.div_euclid(1_000_000))?;
    let told = HASH_CLAIMS.iter().find_map(|name| claims.get(*name)?.as_str());
    let told = told.ok_or(Unverified("it carries no hash of the body"))?;
    let made = [Sha256::digest(body).to_vec(), mac(&secret, body).to_vec()];
    if made.iter().any(|hash| is_hash(told, hash)) {
        return Ok(());
    }
    Err(Unverified("it was made for another body"))
}

/// HMAC-SHA256 (RFC 2104).
fn mac(secret: &[u8], text: &[u8]) -> [u8; 32] {
    let mut key = [0u8; 64];
    let digest;
    let short = if secret.len() > key.len() {
        digest = Sha256::digest(secret);
        digest.as_slice()
    } else {
        secret
    };
    key.iter_mut().zip(short).for_each(|(byte, secret)| *byte = *secret);
    let inner = Sha256::new().chain_update(key.map(|byte| byte ^ 0x36)).chain_update(text);
    let outer = Sha256::new().chain_update(key.map(|byte| byte ^ 0x5c));
    outer.chain_update(inner.finalize()).finalize().into()
}

fn json(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// `exp` where there is one, else five minutes from `iat`.
fn in_time(claims: &Value, now: i64) -> Result<(), Unverified> {
    let time = |name| claims.get(name).and_then(Value::as_i64);
    let issued = time("iat");
    let expires = time("exp").or_else(|| issued?.checked_add(LIFETIME));
    let expires = expires.ok_or(Unverified("it does not say when it expires"))?;
    if now > expires.saturating_add(LEEWAY) {
        return Err(Unverified("it has expired"));
    }
    if issued.is_some_and(|issued| issued > now.saturating_add(LEEWAY)) {
        return Err(Unverified("it was issued in the future; is this machine's clock right?"));
    }
    Ok(())
}

/// Whether `told` spells the hash, in hex or base64.
fn is_hash(told: &str, hash: &[u8]) -> bool {
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let url = URL_SAFE_NO_PAD.encode(hash);
    told.eq_ignore_ascii_case(&hex) || told == STANDARD.encode(hash) || told == url
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SECRET: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0ISE=";
    const BODY: &[u8] = br#"{"type":"channel.ended.v1"}"#;
    const NOW: Micros = 1_772_323_200_000_000;

    fn token(header: Value, claims: Value, secret: &str) -> String {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let secret = STANDARD.decode(secret).unwrap();
        let signature = mac(&secret, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn claims(issued: i64) -> Value {
        let hash: String = Sha256::digest(BODY).iter().map(|b| format!("{b:02x}")).collect();
        json!({"iat": issued, "exp": issued + 300, "payload_hash": hash})
    }

    fn check(token: &str) -> Result<(), Unverified> {
        verify(token, BODY, SECRET, NOW)
    }

    #[test]
    fn a_fresh_token_for_this_body_is_good() {
        let issued = NOW / 1_000_000 - 10;
        let good = token(json!({"alg": "HS256", "typ": "JWT"}), claims(issued), SECRET);
        assert_eq!(check(&good), Ok(()));
        assert_eq!(
            verify(&good, b"{}", SECRET, NOW),
            Err(Unverified("it was made for another body"))
        );
        let hmac = mac(&STANDARD.decode(SECRET).unwrap(), BODY);
        let claims = json!({"iat": issued, "bodyHash": STANDARD.encode(hmac)});
        assert_eq!(check(&token(json!({"alg": "HS256"}), claims, SECRET)), Ok(()));
    }

    /// The first and sixth of RFC 4231's test cases: a short key, and one longer than a block.
    #[test]
    fn the_mac_is_that_of_the_rfc() {
        let hex = |mac: [u8; 32]| mac.iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(
            hex(mac(&[0x0b; 20], b"Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
        assert_eq!(
            hex(mac(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn what_is_forged_or_stale_is_refused() {
        let issued = NOW / 1_000_000;
        let hs256 = || json!({"alg": "HS256"});
        let other = STANDARD.encode("another secret");
        for (token, why) in [
            ("nonsense".into(), "it is no JWT"),
            (token(json!({"alg": "none"}), claims(issued), SECRET), "its algorithm is not HS256"),
            (token(json!({"alg": "RS256"}), claims(issued), SECRET), "its algorithm is not HS256"),
            (token(hs256(), claims(issued), &other), "it was not made with this secret"),
            (token(hs256(), claims(issued - 361), SECRET), "it has expired"),
            (token(hs256(), json!({"iat": issued}), SECRET), "it carries no hash of the body"),
            (token(hs256(), json!({}), SECRET), "it does not say when it expires"),
            (
                token(hs256(), claims(issued + 61), SECRET),
                "it was issued in the future; is this machine's clock right?",
            ),
        ] {
            assert_eq!(check(&token), Err(Unverified(why)), "{token}");
        }
        let good = token(hs256(), claims(issued), SECRET);
        let unsigned = good.rsplit_once('.').unwrap().0.to_owned() + ".";
        assert_eq!(check(&unsigned), Err(Unverified("it was not made with this secret")));
    }
}
