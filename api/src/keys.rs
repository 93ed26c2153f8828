//! Keys of people and programs that administer: a file with the name, the role and the digest of each.

use std::{fmt, path::Path, str::FromStr};

use flashsale_operations::Actor;
use flashsale_platform::{Reloaded, Unusable};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use toml::{Table, Value};

/// Largest file, in bytes, and most keys in it.
const FILE_BYTES_MAX: u64 = 256 * 1024;
const KEYS_MAX: usize = 1_000;
/// What a block of the file has.
const FIELDS: [&str; 4] = ["name", "role", "sha256", "expires"];

/// SHA-256 of a key. The key is 256 bits of chance, so there is nothing to guess, and nothing that slowness would help.
pub(crate) type Digest = [u8; 32];

pub(crate) fn digest(key: &[u8]) -> Digest {
    Sha256::digest(key).into()
}

/// What the holder of a key may do; each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look at everything.
    Viewer,
    /// Steer consumers, settle dead letters, compare and repair, pause and resume sales.
    Operator,
    /// Create, change and delete sales.
    Admin,
}

/// Why a text is no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be viewer, operator or admin")]
pub struct InvalidRole;

impl Role {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = InvalidRole;

    fn from_str(text: &str) -> Result<Self, InvalidRole> {
        [Self::Viewer, Self::Operator, Self::Admin].into_iter().find(|role| role.as_str() == text).ok_or(InvalidRole)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the file says of a key.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminKey {
    /// Whose it is: who acts, in the list of acts.
    pub name: Actor,
    /// What it is good for.
    pub role: Role,
    /// From when on it is good for nothing.
    pub expires: Option<OffsetDateTime>,
    digest: Digest,
}

impl fmt::Debug for AdminKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminKey").field("name", &self.name).field("role", &self.role).finish_non_exhaustive()
    }
}

impl AdminKey {
    /// The entry of `key`.
    pub fn new(name: Actor, role: Role, expires: Option<OffsetDateTime>, key: &SecretString) -> Self {
        Self { name, role, expires, digest: digest(key.expose_secret().as_bytes()) }
    }

    /// Whether it has run out at `now`.
    pub fn is_expired(&self, now: OffsetDateTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// When it runs out, in the form of the file; nothing when it does not.
    pub fn expires_text(&self) -> Option<String> {
        self.expires.and_then(|expires| expires.format(&Rfc3339).ok())
    }

    /// SHA-256 of the key, as 64 hexadecimal digits.
    pub fn sha256(&self) -> String {
        self.digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The block that says so in the file.
    pub fn block(&self) -> String {
        let name = Value::String(self.name.to_string());
        let mut block = format!("[[key]]\nname = {name}\nrole = \"{}\"\nsha256 = \"{}\"\n", self.role, self.sha256());
        if let Some(expires) = self.expires_text() {
            block.push_str(&format!("expires = \"{expires}\"\n"));
        }
        block
    }

    fn read(entry: &Value) -> Result<Self, String> {
        let Value::Table(fields) = entry else { return Err("it is no block of fields".to_owned()) };
        if fields.contains_key("key") {
            return Err("a key itself must not stand here, only its sha256; make one by `flashsale key new`".to_owned());
        }
        if fields.keys().any(|field| !FIELDS.contains(&field.as_str())) {
            return Err(format!("it has a field that is none of {}", FIELDS.join(", ")));
        }
        let text = |field: &str| match fields.get(field) {
            Some(Value::String(text)) => Ok(text.as_str()),
            Some(_) => Err(format!("`{field}` must be a text")),
            None => Err(format!("`{field}` is missing")),
        };
        let name = text("name")?.parse::<Actor>().map_err(|why| format!("`name` {why}"))?;
        let role = text("role")?.parse::<Role>().map_err(|why| format!("`role` {why}"))?;
        let digest = hexadecimal(text("sha256")?).ok_or("`sha256` must be 64 hexadecimal digits")?;
        let expires = match fields.get("expires") {
            Some(Value::String(text)) => Some(text.clone()),
            Some(other) => Some(other.to_string()),
            None => None,
        };
        let expires = expires.map(|text| OffsetDateTime::parse(&text, &Rfc3339)).transpose();
        let expires = expires.map_err(|_| "`expires` must be a time with an offset, such as 2027-01-31T00:00:00Z")?;
        Ok(Self { name, role, expires, digest })
    }
}

fn hexadecimal(text: &str) -> Option<Digest> {
    let mut digest = [0; 32];
    if text.len() != 2 * digest.len() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (place, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).ok()?;
    }
    Some(digest)
}

/// What a file of keys says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminKeys {
    keys: Vec<AdminKey>,
}

impl AdminKeys {
    /// Reads a file once.
    ///
    /// # Errors
    /// When it cannot be used: which file, which entry, and what to do. No error repeats what the file says, because
    /// somebody may have put a key there.
    pub fn read(path: &Path) -> Result<Self, Unusable> {
        Ok(Self::clone(&Self::open(path)?.current()))
    }

    /// The same for as long as the process runs, with every change.
    pub(crate) fn open(path: &Path) -> Result<Reloaded<Self>, Unusable> {
        Reloaded::open(path, "admin_keys", FILE_BYTES_MAX, Self::parse)
    }

    /// The keys in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &AdminKey> {
        self.keys.iter()
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8")?;
        let mut file: Table = toml::from_str(text).map_err(|error| {
            let before = error.span().map_or(0, |span| span.start.min(bytes.len()));
            let line = 1 + bytes[..before].iter().filter(|byte| **byte == b'\n').count();
            format!("is not TOML: line {line}: {}", error.message())
        })?;
        // `key = []` takes every key away; a file with nothing in it was cut off or mistaken.
        let (entries, has_said_so) = match file.remove("key") {
            Some(Value::Array(entries)) => (entries, true),
            Some(_) => return Err("is to have blocks that begin with [[key]], in two brackets".to_owned()),
            None => (Vec::new(), false),
        };
        if !file.is_empty() {
            return Err("has something besides blocks that begin with [[key]]; take it out".to_owned());
        }
        if (entries.is_empty() && !has_said_so) || entries.len() > KEYS_MAX {
            let make = "make one by `flashsale key new`, or write `key = []` to let nobody in";
            return Err(format!("has {} keys instead of 1 to {KEYS_MAX}; {make}", entries.len()));
        }
        let mut keys: Vec<AdminKey> = Vec::with_capacity(entries.len());
        for (number, entry) in (1_usize..).zip(&entries) {
            let wrong = |why: String| format!("has a wrong key {number}{}: {why}", called(entry));
            let key = AdminKey::read(entry).map_err(wrong)?;
            if keys.iter().any(|known| known.digest == key.digest) {
                return Err(wrong("its `sha256` stands there twice; take one out".to_owned()));
            }
            keys.push(key);
        }
        Ok(Self { keys })
    }

    /// The entry of a key. Every entry is looked at, and looking takes as long for one as for another.
    pub(crate) fn find(&self, digest: &Digest) -> Option<&AdminKey> {
        // Counted from 1; 0 is none.
        let mut found = 0_u32;
        for (number, key) in (1_u32..).zip(&self.keys) {
            found.conditional_assign(&number, key.digest.ct_eq(digest));
        }
        self.keys.get((found as usize).checked_sub(1)?)
    }
}

/// The name of an entry, when it has one that can be shown.
fn called(entry: &Value) -> String {
    let name = entry.get("name").and_then(Value::as_str).and_then(|name| name.parse::<Actor>().ok());
    name.map_or_else(String::new, |name| format!(" ({name})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIM: &str = "fsk_kim-kim-kim-kim-kim-kim-kim-kim-kim-kim";

    fn key(name: &str, role: Role, text: &str) -> AdminKey {
        AdminKey::new(name.parse().unwrap(), role, None, &text.into())
    }

    fn read(text: &str) -> Result<AdminKeys, String> {
        AdminKeys::parse(text.as_bytes())
    }

    #[test]
    fn what_a_block_says_is_read_again() {
        let expires = Some(OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap());
        let keys = [
            key("kim", Role::Operator, KIM),
            key("a \"quoted\" \\ name", Role::Viewer, "another"),
            AdminKey { expires, ..key("ci", Role::Admin, "a third") },
        ];
        let file: String = keys.iter().map(AdminKey::block).collect();
        assert!(!file.contains(KIM), "{file}");
        assert_eq!(read(&file).unwrap().iter().cloned().collect::<Vec<_>>(), keys);
        let native = format!("{}expires = 2027-01-15T08:00:00Z\n", key("kim", Role::Operator, KIM).block());
        assert_eq!(read(&native).unwrap().keys[0].expires, expires);
    }

    #[test]
    fn a_key_is_found_wherever_it_stands_and_no_other_is() {
        let file: String = (0..50).map(|n| key(&format!("n{n}"), Role::Viewer, &format!("key {n}")).block()).collect();
        let keys = read(&file).unwrap();
        for n in 0..50 {
            let found = keys.find(&digest(format!("key {n}").as_bytes())).unwrap();
            assert_eq!(found.name.to_string(), format!("n{n}"));
        }
        for other in ["", "key 50", "key", "n1", &keys.keys[0].sha256()] {
            assert_eq!(keys.find(&digest(other.as_bytes())), None, "{other:?}");
        }
    }

    #[test]
    fn a_name_may_have_two_keys_while_one_replaces_the_other() {
        let file = key("kim", Role::Operator, "old").block() + &key("kim", Role::Operator, "new").block();
        let keys = read(&file).unwrap();
        assert!(["old", "new"].iter().all(|text| keys.find(&digest(text.as_bytes())).is_some()));
        assert!(read("key = []").unwrap().find(&digest(b"old")).is_none(), "who says so lets nobody in");
        let twice = key("kim", Role::Operator, "old").block().repeat(2);
        assert_eq!(read(&twice).unwrap_err(), "has a wrong key 2 (kim): its `sha256` stands there twice; take one out");
    }

    #[test]
    fn a_wrong_file_is_refused_by_entry_and_fix_and_never_repeated() {
        let good = key("kim", Role::Operator, KIM).block();
        let but = |from: &str, to: &str| good.replace(from, to);
        for (file, why) in [
            (String::new(), "has 0 keys instead of 1 to 1000; make one by `flashsale key new`"),
            (format!("{good}\n{KIM}\n"), "is not TOML: line "),
            (format!("{KIM} = 1\n{good}"), "has something besides blocks"),
            (good.replace("[[key]]", "[key]"), "is to have blocks that begin with [[key]]"),
            ("key = [1]".to_owned(), "has a wrong key 1: it is no block of fields"),
            (but("name = \"kim\"", "name = 7"), "has a wrong key 1: `name` must be a text"),
            (but("name = \"kim\"", "name = \"\""), "has a wrong key 1: `name` must have 1 to 64"),
            (but("name = \"kim\"", ""), "has a wrong key 1: `name` is missing"),
            (but("role = \"operator\"", "role = \"boss\""), "key 1 (kim): `role` must be viewer, operator or admin"),
            (but("role = \"operator\"", ""), "key 1 (kim): `role` is missing"),
            (but("sha256 = \"", &format!("sha256 = \"{KIM}")), "key 1 (kim): `sha256` must be 64 hexadecimal digits"),
            (format!("{good}key = \"{KIM}\""), "key 1 (kim): a key itself must not stand here"),
            (format!("{good}{KIM} = 1"), "key 1 (kim): it has a field that is none of name, role, sha256, expires"),
            (format!("{good}expires = \"{KIM}\""), "key 1 (kim): `expires` must be a time with an offset"),
            (format!("{good}expires = 2027-01-15"), "key 1 (kim): `expires` must be a time with an offset"),
            (format!("{good}expires = 2027"), "key 1 (kim): `expires` must be a time with an offset"),
        ] {
            let error = read(&file).unwrap_err();
            assert!(error.contains(why), "{error} for {file}");
            assert!(!error.contains(KIM), "{error}");
        }
    }

    #[test]
    fn a_key_runs_out_at_its_moment() {
        let at = |second| OffsetDateTime::from_unix_timestamp(second).unwrap();
        let key = AdminKey { expires: Some(at(100)), ..key("kim", Role::Viewer, KIM) };
        assert!(!key.is_expired(at(99)) && key.is_expired(at(100)));
        assert!(!AdminKey { expires: None, ..key.clone() }.is_expired(at(i64::from(i32::MAX))));
        assert!(!format!("{key:?}").contains(&key.sha256()));
    }
}
