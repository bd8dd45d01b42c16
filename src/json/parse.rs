//! JSON's text read into a tree (RFC 8259).

use super::{JsonError, JsonMap, JsonValue};

/// How deep lists and objects may stand in each other, as in serde_json: each takes a piece of the stack.
const DEPTH_MAX: usize = 128;

type Parsed<T> = Result<T, JsonError>;

/// The value of a text.
pub(super) fn parse(text: &str) -> Parsed<JsonValue> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    let value = reader.value()?;
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.fault("the end")),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn fault(&self, expected: &str) -> JsonError {
        let at = self.at;
        match self.text.get(at..).and_then(|rest| rest.chars().next()) {
            Some(found) => JsonError::new(format_args!("no JSON: {found:?} at byte {at} where {expected} should be")),
            None => JsonError::new(format_args!("no JSON: it ends at byte {at} where {expected} should be")),
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.byte()
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_it = self.peek() == Some(byte);
        self.at += usize::from(is_it);
        is_it
    }

    fn value(&mut self) -> Parsed<JsonValue> {
        match self.peek() {
            Some(b'{') => self.nested(Reader::map),
            Some(b'[') => self.nested(Reader::list),
            Some(b'"') => self.string().map(JsonValue::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Parsed<JsonValue> {
        let words = [("null", JsonValue::Null), ("true", JsonValue::Bool(true)), ("false", JsonValue::Bool(false))];
        for (word, value) in words {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.fault("a value"))
    }

    fn nested(&mut self, inside: fn(&mut Reader<'a>) -> Parsed<JsonValue>) -> Parsed<JsonValue> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(JsonError::new(format_args!("more than {DEPTH_MAX} lists and objects in each other")));
        }
        self.at += 1;
        let value = inside(self);
        self.depth -= 1;
        value
    }

    fn list(&mut self) -> Parsed<JsonValue> {
        let mut list = Vec::new();
        if self.take(b']') {
            return Ok(JsonValue::List(list));
        }
        loop {
            list.push(self.value()?);
            if self.take(b']') {
                return Ok(JsonValue::List(list));
            }
            if !self.take(b',') {
                return Err(self.fault("`,` or `]`"));
            }
        }
    }

    fn map(&mut self) -> Parsed<JsonValue> {
        let mut map = JsonMap::new();
        if self.take(b'}') {
            return Ok(JsonValue::Map(map));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.fault("a key"));
            }
            let key = self.string()?;
            if !self.take(b':') {
                return Err(self.fault("`:`"));
            }
            let value = self.value()?;
            map.insert(key, value);
            if self.take(b'}') {
                return Ok(JsonValue::Map(map));
            }
            if !self.take(b',') {
                return Err(self.fault("`,` or `}`"));
            }
        }
    }

    fn digits(&mut self) -> Parsed<()> {
        let first = self.at;
        while matches!(self.byte(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == first { Err(self.fault("a digit")) } else { Ok(()) }
    }

    fn number(&mut self) -> Parsed<JsonValue> {
        let first = self.at;
        let mut is_whole = true;
        self.at += usize::from(self.byte() == Some(b'-'));
        match self.byte() {
            // No other digit comes after a zero.
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.byte() == Some(b'.') {
            is_whole = false;
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            is_whole = false;
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), Some(b'+' | b'-')));
            self.digits()?;
        }
        let text = &self.text[first..self.at];
        // A zero with a sign is a float, as no integer is that.
        if is_whole && text != "-0" {
            let number = text.parse().ok().filter(|number| (i64::MIN.into()..=u64::MAX.into()).contains(number));
            if let Some(number) = number {
                return Ok(JsonValue::Integer(number));
            }
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(JsonValue::Float(number)),
            _ => Err(JsonError::new(format_args!("the number {text} is out of range"))),
        }
    }

    fn string(&mut self) -> Parsed<String> {
        self.at += 1;
        let mut string = String::new();
        let mut plain = self.at;
        loop {
            match self.byte() {
                Some(b'"') => {
                    string.push_str(&self.text[plain..self.at]);
                    self.at += 1;
                    return Ok(string);
                }
                Some(b'\\') => {
                    string.push_str(&self.text[plain..self.at]);
                    self.at += 1;
                    string.push(self.escaped()?);
                    plain = self.at;
                }
                None | Some(0..0x20) => return Err(self.fault("`\"`")),
                Some(_) => self.at += 1,
            }
        }
    }

    /// The character behind a backslash.
    fn escaped(&mut self) -> Parsed<char> {
        let character = match self.byte() {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte.into(),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(self.fault("an escape")),
        };
        self.at += 1;
        Ok(character)
    }

    /// The character of a code unit of UTF-16, or of two, of which the second has an escape of its own.
    fn unicode(&mut self) -> Parsed<char> {
        let mut units = vec![self.unit()?];
        if (0xd800..0xdc00).contains(&units[0]) && self.text[self.at..].starts_with("\\u") {
            self.at += 2;
            units.push(self.unit()?);
        }
        let mut characters = char::decode_utf16(units);
        match (characters.next(), characters.next()) {
            (Some(Ok(character)), None) => Ok(character),
            _ => Err(self.fault("the other half of a character")),
        }
    }

    fn unit(&mut self) -> Parsed<u16> {
        let digits =
            self.text.get(self.at..self.at + 4).filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let unit = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let unit = unit.ok_or_else(|| self.fault("four hexadecimal digits"))?;
        self.at += 4;
        Ok(unit)
    }
}
