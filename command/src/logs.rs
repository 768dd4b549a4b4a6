//! `logs`: the files that a daemon's output goes to.

use crate::answer::{Answer, Failure, code};
use crate::logged;
use crate::monitored;
use crate::options::Logs;
use crate::place::Place;
use crate::screen::Screen;
use crate::stop::did_you_mean;
use daemonctx::{MonitoredOutput, PidFile};
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often files are looked at for more.
const STEP: Duration = Duration::from_millis(200);

pub(crate) fn logs(options: &Logs) -> Result<Answer, Failure> {
    let place = Place::of_daemon(&options.which)?;
    let mut files: Vec<_> = sources(&place)?.into_iter().map(Followed::new).collect();
    let has_titles = files.len() > 1;
    let mut output = Output { screen: Screen::of(&io::stdout()), has_titles, current: None };
    for file in &mut files {
        let lines = file.end(options.lines).map_err(|error| unreadable(&file.source.path, &error))?;
        output.lines(file, &lines, options.lines > 0)?;
    }
    if !options.follow {
        return Ok(Answer::text(""));
    }
    loop {
        std::thread::sleep(STEP);
        for file in &mut files {
            // A file that was moved away comes back.
            while let Some(more) = file.more().ok().filter(|more| !more.is_empty()) {
                output.text(file, &more)?;
            }
        }
    }
}

/// Where output goes.
#[derive(Clone)]
struct Source {
    path: PathBuf,
    /// The daemon and the number by which it has the file open, while it runs.
    open: Option<(i32, RawFd)>,
}

/// Each file once.
fn sources(place: &Place) -> Result<Vec<Source>, Failure> {
    let refuse = |why: &str| Failure::new(code::FAILED, why).of(&place.name);
    let mut sources = Vec::new();
    let mut elsewhere = None;
    match place.monitored()? {
        Some(daemon) => {
            let outputs = [daemon.stdout(), daemon.stderr()];
            if outputs.contains(&MonitoredOutput::Syslog) {
                elsewhere = Some(format!(
                    "its output goes to the system log: journalctl -t {0}, or grep {0} /var/log/syslog",
                    place.name
                ));
            }
            let pid = monitored::program(&daemon).map(|program| program.pid());
            sources.extend(outputs.into_iter().zip(1..).filter_map(|(output, number)| {
                let path = logged::path_of(output)?.to_owned();
                Some(Source { path, open: pid.map(|pid| (pid, number)) })
            }));
        }
        None => {
            let running = place.pid_file.as_ref().map(PidFile::running).transpose()?.flatten();
            let daemon = running.ok_or_else(|| {
                Failure::new(code::NOT_RUNNING, ["does not run", &did_you_mean(place)].concat()).of(&place.name)
            })?;
            let outputs = logged::outputs(daemon.pid()).unwrap_or_default();
            let outputs = outputs.iter().map(|path| PathBuf::from(std::ffi::OsStr::from_bytes(path)));
            let files = outputs.filter(|path| std::fs::metadata(path).is_ok_and(|file| file.is_file()));
            sources.extend(files.map(|path| Source { path, open: None }));
        }
    }
    sources.dedup_by(|one, other| one.path == other.path);
    if sources.is_empty() {
        return Err(refuse(
            elsewhere.as_deref().unwrap_or("its output goes nowhere; start it with --stdout and --stderr"),
        ));
    }
    Ok(sources)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::of_system(format!("cannot read log file {}", path.to_string_lossy()), error)
}

/// A file, and how far it was read.
struct Followed {
    source: Source,
    /// The path, or what became of the file.
    title: Vec<u8>,
    file: Option<File>,
    place: u64,
}

impl Followed {
    fn new(source: Source) -> Self {
        let title = source.path.as_os_str().as_bytes().to_vec();
        Self { source, title, file: None, place: 0 }
    }

    /// The last lines; what comes after them is read next.
    fn end(&mut self, lines: usize) -> io::Result<Vec<Vec<u8>>> {
        let file = self.open()?;
        self.place = file.metadata()?.len();
        let found = logged::tail(&file, self.place, lines, logged::SEARCHED);
        self.file = Some(file);
        found
    }

    /// The file at the path. Where there is none, or an empty one that the daemon does not write to yet, the one that it writes to.
    fn open(&mut self) -> io::Result<File> {
        let at_path = logged::open_regular(&self.source.path);
        let is_there = match &at_path {
            Ok(file) if file.metadata()?.len() > 0 => return at_path,
            Err(error) if error.kind() != io::ErrorKind::NotFound => return at_path,
            at_path => at_path.is_ok(),
        };
        let held = self.source.open.and_then(|(pid, number)| logged::open_output(pid, number).ok());
        let Some((now, held)) = held else { return at_path };
        if let Ok(file) = &at_path {
            if is_same(&file.metadata()?, &held.metadata()?) {
                return at_path;
            }
        }
        let (now, path) = (now.as_os_str().as_bytes(), self.source.path.as_os_str().as_bytes());
        self.title = match now.strip_prefix(path) {
            Some(b" (deleted)") => now.to_vec(),
            _ if is_there => [now, b" (", path, b" is another file)"].concat(),
            _ => [now, b" (moved from ", path, b")"].concat(),
        };
        Ok(held)
    }

    fn is_moved(&self) -> bool {
        self.title != self.source.path.as_os_str().as_bytes()
    }

    /// What was appended, so much of it as is held at once. A file that was moved away is read until another at the path has something in it.
    /// That one, and one that was emptied, are read from their beginning.
    fn more(&mut self) -> io::Result<Vec<u8>> {
        const ROOM: u64 = 1 << 20;
        let mut rest = Vec::new();
        let mut open = None;
        if let Some(file) = &mut self.file {
            let status = file.metadata()?;
            if status.len() < self.place {
                self.place = 0;
            }
            file.seek(SeekFrom::Start(self.place))?;
            // Not beyond its size: a file of /proc has none, and another text at each look.
            let more = status.len().saturating_sub(self.place);
            self.place += u64::try_from(file.take(more.min(ROOM)).read_to_end(&mut rest)?).unwrap_or_default();
            open = Some(status);
        }
        if rest.is_empty() {
            let now = std::fs::metadata(&self.source.path)?;
            if now.len() > 0 && !open.is_some_and(|open| is_same(&open, &now)) {
                *self = Self { file: Some(logged::open_regular(&self.source.path)?), ..Self::new(self.source.clone()) };
            }
        }
        Ok(rest)
    }
}

fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Standard output: as it is for programs, harmless on a terminal.
struct Output {
    screen: Screen,
    has_titles: bool,
    current: Option<Vec<u8>>,
}

impl Output {
    fn lines(&mut self, file: &Followed, lines: &[Vec<u8>], is_wanted: bool) -> Result<(), Failure> {
        let mut text = lines.join(&b'\n');
        if !lines.is_empty() {
            text.push(b'\n');
        }
        if is_wanted {
            self.title(file)?;
        }
        self.text(file, &text)
    }

    fn text(&mut self, file: &Followed, text: &[u8]) -> Result<(), Failure> {
        if text.is_empty() {
            return Ok(());
        }
        self.title(file)?;
        if self.screen.width.is_none() {
            return self.write(text);
        }
        let shown: Vec<_> = text.split(|byte| *byte == b'\n').map(|line| self.screen.harmless(line)).collect();
        self.write(shown.join("\n").as_bytes())
    }

    /// Of each file where there are several, and of one that is not what its path says.
    fn title(&mut self, file: &Followed) -> Result<(), Failure> {
        let is_wanted = self.has_titles || file.is_moved() || self.current.is_some();
        if !is_wanted || self.current.as_ref() == Some(&file.title) {
            return Ok(());
        }
        let gap = if self.current.is_some() { "\n" } else { "" };
        self.current = Some(file.title.clone());
        self.write([gap, "==> ", &self.screen.harmless(&file.title), " <==\n"].concat().as_bytes())
    }

    fn write(&self, text: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(text).and_then(|()| stdout.flush());
        match written {
            // Nobody reads any more: `logs NAME | head`.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(i32::from(code::SUCCESS)),
            written => {
                written.map_err(|error| Failure::of_system("cannot write to standard output".to_owned(), &error))
            }
        }
    }
}
