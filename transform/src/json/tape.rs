//! The tape: every value of one document in document order, a container before its members.
//!
//! ```text
//! {"a":[1,"x"]}   →   0 Object next=4 │ (key) 1 "a" │ 2 Array next=5 │ 3 Number 1 │ 4 String x
//! ```
//!
//! A value's `next` is the index behind its whole subtree, so skipping one is a single step. An
//! object knows its last key and each key the one before, since of repeated keys the last counts.

use jiter::{Jiter, Peek};
use thiserror::Error;

/// Deeper nesting is refused: no vendor comes near it, and recursion stays bounded.
pub const MAX_DEPTH: usize = 64;

/// What kind of value a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonKind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

/// Why bytes are no JSON document.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParseError {
    #[error("not UTF-8 from byte {0}")]
    NotUtf8(usize),
    #[error("{message} at byte {at}")]
    Syntax { message: String, at: usize },
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    #[error("{0} bytes are more than one event may have")]
    TooLong(usize),
}

#[derive(Clone, Copy, Debug)]
struct Node {
    kind: JsonKind,
    /// The text lies in the tape's arena, unescaped, not in the source.
    unescaped: bool,
    /// Span of the value in the source; a string's with its quotes.
    start: u32,
    end: u32,
    /// Span of a string's text.
    text: (u32, u32),
    next: u32,
    /// An object's last key; a key's predecessor; 0 for none, since the root is no key.
    previous: u32,
}

/// The buffers of a parse, kept for the next one.
#[derive(Debug, Default)]
pub struct Tape {
    nodes: Vec<Node>,
    arena: String,
    scratch: Vec<u8>,
}

impl Tape {
    /// Parses one JSON document.
    pub fn parse<'t>(&'t mut self, bytes: &'t [u8]) -> Result<Document<'t>, ParseError> {
        if bytes.len() > u32::MAX as usize / 2 {
            return Err(ParseError::TooLong(bytes.len()));
        }
        let source =
            std::str::from_utf8(bytes).map_err(|error| ParseError::NotUtf8(error.valid_up_to()))?;
        self.nodes.clear();
        self.arena.clear();
        let scratch = std::mem::take(&mut self.scratch);
        let mut parser = Parser { tape: self, source, jiter: Jiter::with_tape(bytes, scratch) };
        let parsed = parser.document();
        let scratch = parser.jiter.into_tape();
        self.scratch = scratch;
        parsed?;
        Ok(Document { tape: self, source })
    }
}

struct Parser<'t, 'j> {
    tape: &'t mut Tape,
    source: &'j str,
    jiter: Jiter<'j>,
}

fn syntax(error: &jiter::JiterError) -> ParseError {
    ParseError::Syntax { message: error.error_type.to_string().to_lowercase(), at: error.index }
}

impl Parser<'_, '_> {
    fn document(&mut self) -> Result<(), ParseError> {
        let peek = self.jiter.peek().map_err(|e| syntax(&e))?;
        self.value(peek, 0)?;
        self.jiter.finish().map_err(|e| syntax(&e))
    }

    /// The value that `peek` announces, at the parser's present index.
    fn value(&mut self, peek: Peek, depth: usize) -> Result<(), ParseError> {
        let at = self.tape.nodes.len();
        let start = self.jiter.current_index() as u32;
        match peek {
            Peek::String => self.string(start)?,
            Peek::Array => self.array(at, start, depth)?,
            Peek::Object => self.object(at, start, depth)?,
            Peek::Null => {
                self.jiter.known_null().map_err(|e| syntax(&e))?;
                self.leaf(JsonKind::Null, start);
            }
            Peek::True | Peek::False => {
                self.jiter.known_bool(peek).map_err(|e| syntax(&e))?;
                self.leaf(JsonKind::Bool, start);
            }
            number => {
                self.jiter.known_number_bytes(number).map_err(|e| syntax(&e))?;
                self.leaf(JsonKind::Number, start);
            }
        }
        let end = self.jiter.current_index() as u32;
        let next = self.tape.nodes.len() as u32;
        if let Some(node) = self.tape.nodes.get_mut(at) {
            node.end = end;
            node.next = next;
        }
        Ok(())
    }

    fn leaf(&mut self, kind: JsonKind, start: u32) {
        let (unescaped, text, previous) = (false, (0, 0), 0);
        self.tape.nodes.push(Node { kind, unescaped, start, end: 0, text, next: 0, previous });
    }

    fn string(&mut self, start: u32) -> Result<(), ParseError> {
        let text = self.jiter.known_str().map_err(|e| syntax(&e))?;
        let node = text_node(&mut self.tape.arena, self.source, text, start);
        self.tape.nodes.push(node);
        Ok(())
    }

    fn array(&mut self, at: usize, start: u32, depth: usize) -> Result<(), ParseError> {
        if depth >= MAX_DEPTH {
            return Err(ParseError::TooDeep);
        }
        self.leaf(JsonKind::Array, start);
        debug_assert_eq!(self.tape.nodes.len(), at + 1);
        let mut element = self.jiter.known_array().map_err(|e| syntax(&e))?;
        while let Some(peek) = element {
            self.value(peek, depth + 1)?;
            element = self.jiter.array_step().map_err(|e| syntax(&e))?;
        }
        Ok(())
    }

    fn object(&mut self, at: usize, start: u32, depth: usize) -> Result<(), ParseError> {
        if depth >= MAX_DEPTH {
            return Err(ParseError::TooDeep);
        }
        self.leaf(JsonKind::Object, start);
        debug_assert_eq!(self.tape.nodes.len(), at + 1);
        let mut key = self.jiter.known_object().map_err(|e| syntax(&e))?;
        let mut previous = 0;
        while let Some(text) = key {
            let here = self.tape.nodes.len() as u32;
            let mut node = text_node(&mut self.tape.arena, self.source, text, 0);
            node.next = here + 1;
            node.previous = previous;
            previous = here;
            self.tape.nodes.push(node);
            let peek = self.jiter.peek().map_err(|e| syntax(&e))?;
            self.value(peek, depth + 1)?;
            key = self.jiter.next_key().map_err(|e| syntax(&e))?;
        }
        if let Some(object) = self.tape.nodes.get_mut(at) {
            object.previous = previous;
        }
        Ok(())
    }
}

/// A string's node: its text is a span of the source where it has no escapes, else of the arena.
fn text_node(arena: &mut String, source: &str, text: &str, start: u32) -> Node {
    let offset = (text.as_ptr() as usize).wrapping_sub(source.as_ptr() as usize);
    let borrowed = offset <= source.len() && offset + text.len() <= source.len();
    let from = if borrowed { offset } else { arena.len() };
    if !borrowed {
        arena.push_str(text);
    }
    let span = (from as u32, (from + text.len()) as u32);
    let (kind, unescaped) = (JsonKind::String, !borrowed);
    Node { kind, unescaped, start, end: 0, text: span, next: 0, previous: 0 }
}

/// A parsed document.
#[derive(Clone, Copy, Debug)]
pub struct Document<'t> {
    tape: &'t Tape,
    source: &'t str,
}

impl<'t> Document<'t> {
    pub fn root(&'t self) -> Value<'t> {
        Value { document: self, at: 0 }
    }

    fn node(&self, at: u32) -> Option<&'t Node> {
        self.tape.nodes.get(at as usize)
    }

    fn text(&self, node: &Node) -> &'t str {
        let (from, to) = (node.text.0 as usize, node.text.1 as usize);
        let text: &'t str = if node.unescaped { &self.tape.arena } else { self.source };
        text.get(from..to).unwrap_or_default()
    }
}

/// One value of a document; a handle that is copied freely.
#[derive(Clone, Copy, Debug)]
pub struct Value<'t> {
    document: &'t Document<'t>,
    at: u32,
}

impl<'t> Value<'t> {
    fn node(self) -> Option<&'t Node> {
        self.document.node(self.at)
    }

    pub fn kind(self) -> JsonKind {
        self.node().map_or(JsonKind::Null, |node| node.kind)
    }

    pub fn is_null(self) -> bool {
        self.kind() == JsonKind::Null
    }

    /// The value as the vendor wrote it, a string with its quotes.
    pub fn raw(self) -> &'t str {
        let span = self.node().map_or(0..0, |node| node.start as usize..node.end as usize);
        self.document.source.get(span).unwrap_or_default()
    }

    /// A string's text.
    pub fn as_str(self) -> Option<&'t str> {
        let node = self.node()?;
        (node.kind == JsonKind::String).then(|| self.document.text(node))
    }

    pub fn as_bool(self) -> Option<bool> {
        (self.kind() == JsonKind::Bool).then(|| self.raw() == "true")
    }

    /// The text of a string, the literal of a number or boolean; none of null and containers.
    pub fn scalar_text(self) -> Option<&'t str> {
        match self.kind() {
            JsonKind::String => self.as_str(),
            JsonKind::Number | JsonKind::Bool => Some(self.raw()),
            JsonKind::Null | JsonKind::Array | JsonKind::Object => None,
        }
    }

    /// Members of an object in document order, repeats among them; nothing of other kinds.
    pub fn members(self) -> impl Iterator<Item = (&'t str, Value<'t>)> {
        let mut at = self.at + 1;
        let end = self.end_of(JsonKind::Object);
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let key = self.document.text(self.document.node(at)?);
            let value = Value { document: self.document, at: at + 1 };
            at = value.node()?.next;
            Some((key, value))
        })
    }

    /// Elements of an array; nothing of other kinds.
    pub fn items(self) -> impl Iterator<Item = Value<'t>> {
        let mut at = self.at + 1;
        let end = self.end_of(JsonKind::Array);
        std::iter::from_fn(move || {
            let value = Value { document: self.document, at };
            if at >= end {
                return None;
            }
            at = value.node()?.next;
            Some(value)
        })
    }

    fn end_of(self, kind: JsonKind) -> u32 {
        self.node().filter(|node| node.kind == kind).map_or(0, |node| node.next)
    }

    /// Members of an object with the last first: of repeated keys, the one that counts comes first.
    pub fn last_first(self) -> impl Iterator<Item = (&'t str, Value<'t>)> {
        let mut at = self.last_key();
        std::iter::from_fn(move || {
            let key = self.key(at)?;
            let value = Value { document: self.document, at: at + 1 };
            at = key.previous;
            Some((self.document.text(key), value))
        })
    }

    /// The member of this name; of repeated names the last, as JSON parsers agree.
    pub fn get(self, name: &str) -> Option<Value<'t>> {
        let mut at = self.last_key();
        while let Some(key) = self.key(at) {
            // Most names differ in length: their text need not be looked at.
            let length = (key.text.1 - key.text.0) as usize;
            if length == name.len() && self.document.text(key) == name {
                return Some(Value { document: self.document, at: at + 1 });
            }
            at = key.previous;
        }
        None
    }

    fn last_key(self) -> u32 {
        self.node().filter(|node| node.kind == JsonKind::Object).map_or(0, |node| node.previous)
    }

    fn key(self, at: u32) -> Option<&'t Node> {
        if at == 0 { None } else { self.document.node(at) }
    }

    /// The non-null member of this name.
    pub fn get_some(self, name: &str) -> Option<Value<'t>> {
        self.get(name).filter(|value| !value.is_null())
    }

    /// The offset of the value in the document's bytes.
    pub fn span(self) -> std::ops::Range<usize> {
        self.node().map_or(0..0, |node| node.start as usize..node.end as usize)
    }
}

#[cfg(test)]
mod tests;
