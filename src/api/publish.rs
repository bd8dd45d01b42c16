//! Objects that pass from one session to another by name.

use super::answer;
use crate::abi::{Answer, Published, Question};
use crate::calls::{self, Handle};
use crate::codec::{Value, schema};
use crate::error::InitError;
use crate::object::ObjectRef;
use serde::de::DeserializeOwned;

/// Gives an object a name, by which the other sessions of a shared runtime find it with [`lookup`]. A session that gives the
/// same name again replaces it. The name lasts as long as the session, or until [`unpublish`]; what others have looked up by then stays
/// theirs.
///
/// # Errors
/// [`InitError::Refused`] when another session has given the name; [`InitError::Disconnected`] when there is no runtime.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// let words = put(&vec!["manta".to_string()]).unwrap();
/// publish(&words, "words")?;
/// let same: ObjectRef<Vec<String>> = lookup("words").unwrap();
/// assert_eq!(get(&same).unwrap(), ["manta"]);
/// # Ok::<(), mobula::InitError>(())
/// ```
pub fn publish<T: Value + DeserializeOwned>(object: &ObjectRef<T>, name: &str) -> Result<(), InitError> {
    let question = Question::Publish { id: object.id().0, name: name.to_owned(), schema: schema::<T>() };
    calls::ask(&question).map(drop).map_err(InitError::from_fault)
}

/// Takes a name back that this session has given with [`publish`]. False if it has given none of that kind.
///
/// # Panics
/// When the runtime is gone, or there is none.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// publish(&put(&1).unwrap(), "one")?;
/// assert!(unpublish("one") && !unpublish("one"));
/// # Ok::<(), mobula::InitError>(())
/// ```
#[track_caller]
pub fn unpublish(name: &str) -> bool {
    answer(&Question::Unpublish { name: name.to_owned() }) == Answer::Flag(true)
}

/// Why [`lookup`] gave no reference.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// No object has the name.
    #[error(
        "no object is published as `{name}`: `publish(&object, \"{name}\")` in another session of the same runtime does that"
    )]
    Unknown {
        /// The name.
        name: String,
    },
    /// It is of another type.
    #[error("`{name}` was published by {by} as\n  {published}\nand is looked up as\n  {wanted}")]
    OtherType {
        /// The name.
        name: String,
        /// The session that published it.
        by: String,
        /// The form of its type there.
        published: String,
        /// The form of the type that was asked for.
        wanted: String,
    },
    /// There is no runtime.
    #[error(transparent)]
    Runtime(#[from] InitError),
}

/// Returns a reference to the object that a session of the same runtime has published under this name. Types are
/// compared by their form: names, fields and variants, as serde sees them.
///
/// # Errors
/// [`LookupError`], with both definitions when the type is another one.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// publish(&put(&1_i64).unwrap(), "number")?;
/// assert!(lookup::<String>("number").is_err());
/// assert_eq!(get(lookup::<i64>("number").unwrap()).unwrap(), 1);
/// # Ok::<(), mobula::InitError>(())
/// ```
pub fn lookup<T: Value + DeserializeOwned>(name: &str) -> Result<ObjectRef<T>, LookupError> {
    let name = name.to_owned();
    let answer = calls::ask(&Question::Lookup { name: name.clone() }).map_err(InitError::from_fault)?;
    let Answer::Published(Some(Published { id, schema: published, by })) = answer else {
        return Err(LookupError::Unknown { name });
    };
    let object = ObjectRef::new(Handle::adopt(id));
    let wanted = schema::<T>();
    if wanted != published {
        return Err(LookupError::OtherType { name, by, published, wanted });
    }
    Ok(object)
}
