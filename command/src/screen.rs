//! What text is printed on: how wide it is, whether it has colours, which characters it knows.
//! And text made fit for it.

use crate::sys;
use daemonctx::is_printable;
use std::io::IsTerminal;
use std::os::fd::AsFd;

/// Where text goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    /// How many columns it has; none where nothing is to be cut.
    pub(crate) width: Option<usize>,
    pub(crate) colours: bool,
    pub(crate) unicode: bool,
}

/// What catches the eye.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    Bold,
    Dim,
    Good,
    Doubtful,
    Bad,
}

/// The width of a terminal that does not know its own.
const USUAL_WIDTH: usize = 80;
/// The narrowest that is taken for true.
const NARROWEST: usize = 20;

impl Screen {
    pub(crate) fn of(stream: &(impl IsTerminal + AsFd)) -> Self {
        let is_terminal = stream.is_terminal();
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let columns = || variable("COLUMNS").and_then(|columns| columns.to_str()?.parse().ok());
        let width = || sys::columns(stream.as_fd()).or_else(columns).unwrap_or(USUAL_WIDTH).max(NARROWEST);
        let is_dumb = variable("TERM").is_none_or(|terminal| terminal == "dumb");
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(variable);
        Self {
            width: is_terminal.then(width),
            colours: is_terminal && !is_dumb && variable("NO_COLOR").is_none(),
            unicode: locale.is_some_and(|locale| is_unicode(&locale.to_string_lossy())),
        }
    }

    pub(crate) fn paint(&self, paint: Paint, text: &str) -> String {
        let number = match paint {
            Paint::Bold => "1",
            Paint::Dim => "2",
            Paint::Good => "1;32",
            Paint::Doubtful => "1;33",
            Paint::Bad => "1;31",
        };
        if self.colours && !text.is_empty() {
            ["\x1b[", number, "m", text, "\x1b[0m"].concat()
        } else {
            text.to_owned()
        }
    }

    /// One or the other, whichever the screen can show.
    pub(crate) fn either(&self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.unicode { unicode } else { ascii }
    }

    /// What somebody else has written, such that it cannot do anything to a terminal.
    pub(crate) fn harmless(&self, bytes: &[u8]) -> String {
        let mut text = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            for character in chunk.valid().chars() {
                if is_printable(character) && (self.unicode || character.is_ascii()) {
                    text.push(character);
                } else {
                    escape(&mut text, character.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
            escape(&mut text, chunk.invalid());
        }
        text
    }

    /// The same, as an argument that a shell would read again.
    pub(crate) fn argument(&self, bytes: &[u8]) -> String {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"%+,-./:=@_".contains(byte) || *byte >= 0x80;
        let text = self.harmless(bytes);
        if text.as_bytes() != bytes {
            // The escapes are those of $'...', where a backslash of its own is written twice.
            let own =
                bytes.iter().flat_map(|byte| if b"\\'".contains(byte) { vec![b'\\', *byte] } else { vec![*byte] });
            return ["$'", &self.harmless(&own.collect::<Vec<_>>()), "'"].concat();
        }
        if !bytes.is_empty() && bytes.iter().all(is_plain) {
            return text;
        }
        ["'", &text.replace('\'', r"'\''"), "'"].concat()
    }

    /// Rows of at most `width` columns, broken at spaces where there are some, and no more than `most` of them.
    pub(crate) fn fold(&self, text: &str, width: usize, most: usize) -> Vec<String> {
        let mut rows = Vec::new();
        let mut rest = text;
        while columns(rest) > width {
            let end = fitting(rest, width);
            if rows.len() + 1 == most {
                let mark = self.either("…", "...");
                let end = fitting(rest, width.saturating_sub(columns(mark)).max(1));
                rows.push([&rest[..end], mark].concat());
                return rows;
            }
            let (row, next) = break_near(rest, end, width);
            rows.push(row.to_owned());
            rest = next;
        }
        rows.push(rest.to_owned());
        rows
    }
}

fn is_unicode(locale: &str) -> bool {
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// A text of the command's own with names in it: what is not printable is escaped, other characters stay as they are.
pub(crate) fn escaped(text: &str) -> String {
    Screen { width: None, colours: false, unicode: true }.harmless(text.as_bytes())
}

/// The same for JSON, where all that is escaped lies in strings.
pub(crate) fn escaped_json(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if is_printable(character) {
            text.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                text += &format!("\\u{unit:04x}");
            }
        }
    }
    text
}

fn escape(text: &mut String, bytes: &[u8]) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    for byte in bytes {
        match byte {
            b'\n' => text.push_str(r"\n"),
            b'\r' => text.push_str(r"\r"),
            b'\t' => text.push_str(r"\t"),
            _ => text.extend(['\\', 'x', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]),
        }
    }
}

/// How many columns a text takes.
pub(crate) fn columns(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// Unicode's Annex 11, roughly: marks that stand above others, and the wide letters of East Asia and pictures.
fn width(character: char) -> usize {
    match character {
        '\0'..='\u{2ff}' => 1,
        '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200d}' | '\u{20d0}'..='\u{20ff}' | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' => 2,
        '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}' => 2,
        '\u{1f300}'..='\u{1f64f}'
        | '\u{1f680}'..='\u{1f6ff}'
        | '\u{1f900}'..='\u{1f9ff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

/// Where the text ends that fits; one character fits anyway.
fn fitting(text: &str, width: usize) -> usize {
    let mut room = width;
    for (place, character) in text.char_indices() {
        match room.checked_sub(self::width(character)) {
            Some(left) => room = left,
            None => return if place == 0 { character.len_utf8() } else { place },
        }
    }
    text.len()
}

/// At the last space before `end`, which falls away; at `end` itself where the word behind that space is too long for
/// any row, and little would stand before it.
fn break_near(text: &str, end: usize, width: usize) -> (&str, &str) {
    if text[end..].starts_with(' ') {
        return (&text[..end], &text[end + 1..]);
    }
    let is_good = |space: &usize| {
        let word = text[space + 1..].split(' ').next().unwrap_or_default();
        *space > end / 2 || columns(word) <= width
    };
    match text[..end].rfind(' ').filter(is_good) {
        Some(space) => (&text[..space], &text[space + 1..]),
        None => text.split_at(end),
    }
}

#[cfg(test)]
mod tests {
    use super::{Screen, columns, escaped, escaped_json};

    const UNICODE: Screen = Screen { width: None, colours: false, unicode: true };
    const ASCII: Screen = Screen { unicode: false, ..UNICODE };

    #[test]
    fn nothing_reaches_a_terminal_raw() {
        assert_eq!(
            UNICODE.harmless(b"\x1b]0;x\x07 \xc2\x9b1m \xff\xfe \r\n\t\x7f"),
            r"\x1b]0;x\x07 \xc2\x9b1m \xff\xfe \r\n\t\x7f"
        );
        assert_eq!(UNICODE.harmless("a\u{202e}b é €".as_bytes()), r"a\xe2\x80\xaeb é €");
        assert_eq!(
            UNICODE.harmless("\u{200b}\u{2060}\u{e0041}".as_bytes()),
            r"\xe2\x80\x8b\xe2\x81\xa0\xf3\xa0\x81\x81"
        );
        assert_eq!(ASCII.harmless("é".as_bytes()), r"\xc3\xa9");
        assert_eq!(escaped("é\n\u{9b}\u{61c}"), r"é\n\xc2\x9b\xd8\x9c");
        assert_eq!(escaped_json("{\"é\u{7f}\u{202e}\":\"\u{e0041}\"}"), r#"{"é\u007f\u202e":"\udb40\udc41"}"#);
    }

    #[test]
    fn arguments_as_a_shell_reads_them() {
        let cases: [(&[u8], &str); 6] = [
            (b"--port=8080", "--port=8080"),
            (b"", "''"),
            (b"two words", "'two words'"),
            (b"it's", r"'it'\''s'"),
            (b"it's\x1b\\", r"$'it\'s\x1b\\'"),
            ("größe".as_bytes(), "größe"),
        ];
        for (bytes, shown) in cases {
            assert_eq!(UNICODE.argument(bytes), shown);
        }
    }

    #[test]
    fn rows() {
        assert_eq!(UNICODE.fold("one two three", 8, 9), ["one two", "three"]);
        assert_eq!(UNICODE.fold("a defghij k", 9, 9), ["a defghij", "k"]);
        assert_eq!(UNICODE.fold("a defghijk", 9, 9), ["a", "defghijk"]);
        assert_eq!(UNICODE.fold("a defghijklm", 9, 9), ["a defghij", "klm"]);
        assert_eq!(UNICODE.fold("abcdefghij", 4, 9), ["abcd", "efgh", "ij"]);
        assert_eq!(UNICODE.fold("abcdefghij", 4, 2), ["abcd", "efg…"]);
        assert_eq!(ASCII.fold("abcdefghij", 5, 1), ["ab..."]);
        assert_eq!(UNICODE.fold("日本語日本語", 5, 9), ["日本", "語日", "本語"]);
        assert_eq!(UNICODE.fold("", 4, 1), [""]);
        assert_eq!(columns("e\u{301}日"), 3);
    }
}
