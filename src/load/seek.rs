//! Finds what a path names in a JSON text without building the document: most of an answer is
//! skipped, and only what is saved is kept.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::load::jsonpath::{JsonPath, Key};

impl JsonPath {
    /// Returns what is there, as [`JsonPath::find`] does; an error when the text is not JSON.
    pub fn find_in(&self, text: &[u8]) -> serde_json::Result<Option<Value>> {
        let mut found = Vec::new();
        let mut from = serde_json::Deserializer::from_slice(text);
        Seeker { keys: self.keys(), found: &mut found }.deserialize(&mut from)?;
        from.end()?;
        Ok(self.answer(found))
    }
}

struct Seeker<'a> {
    keys: &'a [Key],
    found: &'a mut Vec<Value>,
}

impl Seeker<'_> {
    fn next(&mut self) -> Seeker<'_> {
        Seeker { keys: self.keys.get(1..).unwrap_or_default(), found: self.found }
    }
}

impl<'de> DeserializeSeed<'de> for Seeker<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        if self.keys.is_empty() {
            let value = <Value as serde::Deserialize>::deserialize(from)?;
            self.found.push(value);
            return Ok(());
        }
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seeker<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let Some(Key::Name(name)) = self.keys.first() else {
            // The order of an object's values is that of a document; an index finds nothing here.
            let mut object = serde_json::Map::new();
            while let Some((key, value)) = map.next_entry::<String, Value>()? {
                object.insert(key, value);
            }
            self.found.extend(JsonPath::all(self.keys, &Value::Object(object)));
            return Ok(());
        };
        let before = self.found.len();
        while let Some(is_it) = map.next_key_seed(Is(name))? {
            if is_it {
                // Of two equal names the last one counts.
                self.found.truncate(before);
                map.next_value_seed(self.next())?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        match self.keys.first() {
            Some(Key::Every) => while list.next_element_seed(self.next())?.is_some() {},
            Some(Key::Index(index)) if *index < 0 => {
                let mut values = Vec::new();
                while let Some(value) = list.next_element::<Value>()? {
                    values.push(value);
                }
                self.found.extend(JsonPath::all(self.keys, &Value::Array(values)));
            }
            Some(Key::Index(index)) => {
                let mut at = 0;
                loop {
                    let is_more = if at == *index {
                        list.next_element_seed(self.next())?.is_some()
                    } else {
                        list.next_element::<IgnoredAny>()?.is_some()
                    };
                    if !is_more {
                        break;
                    }
                    at += 1;
                }
            }
            Some(Key::Name(_)) | None => while list.next_element::<IgnoredAny>()?.is_some() {},
        }
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Reads a key: whether it is this one.
struct Is<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<bool, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn document() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-c\"é]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[abé]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_finds_what_the_document_holds(
            document in document(),
            path in "\\$(\\.a|\\.b|\\['é'\\]|\\[\\*\\]|\\[0\\]|\\[1\\]|\\[-1\\]){0,4}",
        ) {
            let parsed = JsonPath::parse(&path).unwrap();
            let text = document.to_string();
            prop_assert_eq!(
                parsed.find_in(text.as_bytes()).unwrap(), parsed.find(&document), "{}", path
            );
            for end in 0..text.len().min(30) {
                let cut = &text.as_bytes()[..end];
                let is_json = serde_json::from_slice::<Value>(cut).is_ok();
                prop_assert_eq!(parsed.find_in(cut).is_ok(), is_json);
            }
        }
    }

    #[test]
    fn of_two_equal_names_the_last_one_counts() {
        let path = JsonPath::parse("$.a.b").unwrap();
        for (text, found) in [
            (r#"{"a":{"b":1},"a":{"b":2}}"#, Some(2)),
            (r#"{"a":{"b":1},"a":{}}"#, None),
            (r#"{"\u0061":{"b":3}}"#, Some(3)),
        ] {
            assert_eq!(path.find_in(text.as_bytes()).unwrap(), found.map(Value::from), "{text}");
        }
    }
}
