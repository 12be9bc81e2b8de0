//! Numbers as they are kept between runs: columns, which are read without a look at each.

use std::fmt;
use std::marker::PhantomData;

use bytemuck::{AnyBitPattern, NoUninit};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Plain numbers, written as their bytes.
#[derive(Debug)]
pub(super) struct Column<T>(pub(super) Vec<T>);

impl<T: NoUninit> Serialize for Column<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytemuck::cast_slice(&self.0))
    }
}

impl<'de, T: AnyBitPattern + NoUninit> Deserialize<'de> for Column<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(Bytes(PhantomData))
    }
}

struct Bytes<T>(PhantomData<T>);

impl<T: AnyBitPattern + NoUninit> Visitor<'_> for Bytes<T> {
    type Value = Column<T>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "numbers of {} bytes", size_of::<T>())
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Column<T>, E> {
        if bytes.len().is_multiple_of(size_of::<T>()) {
            Ok(Column(bytemuck::pod_collect_to_vec(bytes)))
        } else {
            Err(E::invalid_length(bytes.len(), &self))
        }
    }
}
