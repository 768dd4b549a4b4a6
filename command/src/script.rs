//! What a program is called: like its file, or like the script where it is an interpreter.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How an interpreter's command line is read up to the script.
struct Interpreter {
    /// Its file name begins so; digits and dots may follow.
    name: &'static str,
    /// Options whose value names what is run.
    names: &'static [&'static str],
    /// Options whose value is the program's text, which has no name.
    texts: &'static [&'static str],
    /// Other options with a value in the next word.
    values: &'static [&'static str],
}

const INTERPRETERS: &[Interpreter] = &[
    Interpreter { name: "python", names: &["-m"], texts: &["-c"], values: &["-W", "-X", "--check-hash-based-pycs"] },
    Interpreter { name: "pypy", names: &["-m"], texts: &["-c"], values: &["-W", "-X"] },
    Interpreter {
        name: "node",
        names: &[],
        texts: &["-e", "--eval", "-p", "--print"],
        values: &["-r", "--require", "--import", "-C", "--conditions"],
    },
    Interpreter {
        name: "nodejs",
        names: &[],
        texts: &["-e", "--eval", "-p", "--print"],
        values: &["-r", "--require", "--import", "-C", "--conditions"],
    },
    Interpreter { name: "ruby", names: &[], texts: &["-e"], values: &["-I", "-r", "-C", "-E"] },
    Interpreter { name: "perl", names: &[], texts: &["-e", "-E"], values: &["-I"] },
    Interpreter { name: "php", names: &["-f"], texts: &["-r"], values: &["-c", "-d", "-S", "-t", "-z"] },
    Interpreter {
        name: "java",
        names: &["-jar"],
        texts: &[],
        values: &["-cp", "-classpath", "--class-path", "-p", "--module-path", "--add-modules"],
    },
    Interpreter { name: "sh", names: &[], texts: &["-c"], values: &["-o", "+o"] },
    Interpreter {
        name: "bash",
        names: &[],
        texts: &["-c"],
        values: &["-o", "+o", "-O", "+O", "--rcfile", "--init-file"],
    },
    Interpreter { name: "dash", names: &[], texts: &["-c"], values: &["-o", "+o"] },
];

/// The default name of a daemon. None where the words name no file.
pub(crate) fn name(words: &[OsString]) -> Option<OsString> {
    let (program, arguments) = words.split_first()?;
    let own = Path::new(program).file_name()?;
    let found = INTERPRETERS.iter().find(|interpreter| is_called(own, interpreter.name));
    let script = found.and_then(|interpreter| script(interpreter, arguments));
    Some(script.unwrap_or(own).to_owned())
}

/// Whether the program is an interpreter, and the words name its script.
pub(crate) fn is_named(words: &[OsString]) -> bool {
    let own = words.first().and_then(|program| Path::new(program).file_name());
    name(words).is_some_and(|name| Some(name.as_os_str()) != own)
}

/// `python3.11` is python.
fn is_called(file: &OsStr, name: &str) -> bool {
    let rest = file.as_bytes().strip_prefix(name.as_bytes());
    rest.is_some_and(|rest| rest.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.'))
}

fn script<'a>(interpreter: &Interpreter, arguments: &'a [OsString]) -> Option<&'a OsStr> {
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let is_one_of = |options: &[&str]| options.iter().any(|option| word == option);
        if is_one_of(interpreter.texts) || word == "-" {
            return None;
        }
        if word == "--" || is_one_of(interpreter.names) {
            return words.next().and_then(|path| Path::new(path).file_name());
        }
        if is_one_of(interpreter.values) {
            words.next();
        } else if !word.as_bytes().starts_with(b"-") && !word.as_bytes().starts_with(b"+") {
            return Path::new(word).file_name();
        } else if interpreter.texts.contains(&"-c") && is_cluster_with_text(word) {
            return None;
        }
    }
    None
}

/// `-xc` of a shell, `-Ic` of python.
fn is_cluster_with_text(word: &OsStr) -> bool {
    let letters = word.as_bytes().strip_prefix(b"-").unwrap_or_default();
    letters.ends_with(b"c") && letters.iter().all(u8::is_ascii_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::name;
    use std::ffi::OsString;

    #[test]
    fn interpreters_are_called_like_their_script() {
        for (line, expected) in [
            ("/usr/sbin/nginx -g x", "nginx"),
            ("python3 a.py", "a.py"),
            ("/usr/bin/python3.11 -u -X dev /srv/b.py --port 1", "b.py"),
            ("python3 -m http.server 8000", "http.server"),
            ("python3 -c pass a.py", "python3"),
            ("python3", "python3"),
            ("sh -c sleep", "sh"),
            ("sh -ec sleep", "sh"),
            ("bash -x /srv/run.sh", "run.sh"),
            ("node --inspect -r dotenv/config server.js", "server.js"),
            ("java -Xmx1g -cp lib -jar /srv/app.jar", "app.jar"),
            ("java -cp lib org.example.Main", "org.example.Main"),
            ("perl -w x.pl", "x.pl"),
            ("php -f index.php", "index.php"),
            ("pythonic a.py", "pythonic"),
            ("python3 -", "python3"),
        ] {
            let words: Vec<_> = line.split(' ').map(OsString::from).collect();
            assert_eq!(name(&words), Some(expected.into()), "{line}");
        }
        assert_eq!(name(&["/".into()]), None);
    }
}
