//! How serde walks over maps, lists and variants of the tree.

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use super::de::At;
use super::mistake::Mistake;

pub struct Map<'a> {
    /// From last to first.
    pub open: Vec<(&'a str, At<'a>)>,
    pub value: Option<At<'a>>,
}

impl<'de> MapAccess<'de> for Map<'_> {
    type Error = Mistake;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Mistake> {
        let Some((key, value)) = self.open.pop() else { return Ok(None) };
        let key: StrDeserializer<'_, Mistake> = key.into_deserializer();
        let read = seed.deserialize(key).map_err(|mistake| value.place(mistake))?;
        self.value = Some(value);
        Ok(Some(read))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Mistake> {
        let value = self.value.take().ok_or_else(|| Mistake::custom("a value before its key"))?;
        let here = value.clone();
        seed.deserialize(value).map_err(|mistake| here.place(mistake))
    }
}

pub struct List<'a>(pub std::vec::IntoIter<At<'a>>);

impl<'de> SeqAccess<'de> for List<'_> {
    type Error = Mistake;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Mistake> {
        let Some(at) = self.0.next() else { return Ok(None) };
        let here = at.clone();
        seed.deserialize(at).map(Some).map_err(|mistake| here.place(mistake))
    }
}

pub struct Variant<'a> {
    /// The variant's name.
    pub name: &'a str,
    /// What stands behind it.
    pub value: Option<At<'a>>,
    /// The whole.
    pub here: At<'a>,
}

impl<'de, 'a> EnumAccess<'de> for Variant<'a> {
    type Error = Mistake;
    type Variant = Content<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Content<'a>), Mistake> {
        let name: StrDeserializer<'_, Mistake> = self.name.into_deserializer();
        let variant = seed.deserialize(name).map_err(|mistake| self.here.place(mistake))?;
        Ok((variant, Content { name: self.name.to_owned(), value: self.value, here: self.here }))
    }
}

pub struct Content<'a> {
    name: String,
    value: Option<At<'a>>,
    here: At<'a>,
}

impl<'a> Content<'a> {
    fn filled(self) -> Result<At<'a>, Mistake> {
        match self.value {
            Some(value) => Ok(value),
            None => Err(self.here.place(Mistake::new(format!(
                "`{name}` needs its keys: `{name}: {{ … }}`",
                name = self.name
            )))),
        }
    }
}

impl<'de> VariantAccess<'de> for Content<'_> {
    type Error = Mistake;

    fn unit_variant(self) -> Result<(), Mistake> {
        match self.value {
            Some(value) if !value.node.is_null() => Err(value.wrong("nothing")),
            Some(_) | None => Ok(()),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Mistake> {
        seed.deserialize(self.filled()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Mistake> {
        self.filled()?.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        self.filled()?.map(Some(fields), visitor)
    }
}
