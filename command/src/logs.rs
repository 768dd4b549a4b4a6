//! `logs`: the files that a daemon's output goes to.

use crate::answer::{Answer, Failure, code};
use crate::logged;
use crate::options::Logs;
use crate::place::Place;
use crate::screen::Screen;
use crate::stop::did_you_mean;
use daemonctx::{MonitoredOutput, PidFile};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often files are looked at for more.
const STEP: Duration = Duration::from_millis(200);

pub(crate) fn logs(options: &Logs) -> Result<Answer, Failure> {
    let place = Place::of_daemon(&options.which)?;
    let mut files: Vec<_> = paths(&place)?.into_iter().map(Followed::new).collect();
    let has_titles = files.len() > 1;
    let mut output = Output { screen: Screen::of(&io::stdout()), has_titles, current: None };
    for file in &mut files {
        let lines = file.end(options.lines).map_err(|error| unreadable(&file.path, &error))?;
        output.lines(&file.path, &lines, options.lines > 0)?;
    }
    if !options.follow {
        return Ok(Answer::text(""));
    }
    loop {
        std::thread::sleep(STEP);
        for file in &mut files {
            // A file that was moved away comes back.
            while let Some(more) = file.more().ok().filter(|more| !more.is_empty()) {
                output.text(&file.path, &more)?;
            }
        }
    }
}

/// Where its output goes, each file once.
fn paths(place: &Place) -> Result<Vec<PathBuf>, Failure> {
    let refuse = |why: &str| Failure::new(code::FAILED, why).of(&place.name);
    let mut paths = Vec::new();
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
            paths.extend(outputs.into_iter().filter_map(logged::path_of).map(Path::to_owned));
        }
        None => {
            let running = place.pid_file.as_ref().map(PidFile::running).transpose()?.flatten();
            let daemon = running.ok_or_else(|| {
                Failure::new(code::NOT_RUNNING, ["does not run", &did_you_mean(place)].concat()).of(&place.name)
            })?;
            let outputs = logged::outputs(daemon.pid()).unwrap_or_default();
            let outputs = outputs.iter().map(|path| PathBuf::from(std::ffi::OsStr::from_bytes(path)));
            paths.extend(outputs.filter(|path| std::fs::metadata(path).is_ok_and(|file| file.is_file())));
        }
    }
    paths.dedup();
    if paths.is_empty() {
        return Err(refuse(
            elsewhere.as_deref().unwrap_or("its output goes nowhere; start it with --stdout and --stderr"),
        ));
    }
    Ok(paths)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::of_system(format!("cannot read log file {}", path.to_string_lossy()), error)
}

/// A file, and how far it was read.
struct Followed {
    path: PathBuf,
    file: Option<File>,
    place: u64,
}

impl Followed {
    fn new(path: PathBuf) -> Self {
        Self { path, file: None, place: 0 }
    }

    /// The last lines; what comes after them is read next.
    fn end(&mut self, lines: usize) -> io::Result<Vec<Vec<u8>>> {
        let file = logged::open_regular(&self.path)?;
        self.place = file.metadata()?.len();
        let found = logged::tail(&file, self.place, lines, logged::SEARCHED);
        self.file = Some(file);
        found
    }

    /// What was appended, so much of it as is held at once. A new file at the path, and one that was emptied, are read from their beginning.
    fn more(&mut self) -> io::Result<Vec<u8>> {
        const ROOM: u64 = 1 << 20;
        let now = std::fs::metadata(&self.path)?;
        let open = self.file.as_ref().map(File::metadata).transpose()?;
        let is_same = open.is_some_and(|open| (open.dev(), open.ino()) == (now.dev(), now.ino()));
        let mut rest = Vec::new();
        if let Some(file) = &mut self.file {
            if is_same && now.len() < self.place {
                self.place = 0;
            }
            file.seek(SeekFrom::Start(self.place))?;
            self.place += u64::try_from(file.take(ROOM).read_to_end(&mut rest)?).unwrap_or_default();
        }
        if !is_same && rest.is_empty() {
            self.file = Some(logged::open_regular(&self.path)?);
            self.place = 0;
        }
        Ok(rest)
    }
}

/// Standard output: as it is for programs, harmless on a terminal.
struct Output {
    screen: Screen,
    has_titles: bool,
    current: Option<PathBuf>,
}

impl Output {
    fn lines(&mut self, path: &Path, lines: &[Vec<u8>], is_wanted: bool) -> Result<(), Failure> {
        let mut text = lines.join(&b'\n');
        if !lines.is_empty() {
            text.push(b'\n');
        }
        if is_wanted {
            self.title(path)?;
        }
        self.text(path, &text)
    }

    fn text(&mut self, path: &Path, text: &[u8]) -> Result<(), Failure> {
        if text.is_empty() {
            return Ok(());
        }
        self.title(path)?;
        if self.screen.width.is_none() {
            return self.write(text);
        }
        let shown: Vec<_> = text.split(|byte| *byte == b'\n').map(|line| self.screen.harmless(line)).collect();
        self.write(shown.join("\n").as_bytes())
    }

    fn title(&mut self, path: &Path) -> Result<(), Failure> {
        if !self.has_titles || self.current.as_deref() == Some(path) {
            return Ok(());
        }
        let gap = if self.current.is_some() { "\n" } else { "" };
        self.current = Some(path.to_owned());
        self.write([gap, "==> ", &self.screen.harmless(path.as_os_str().as_bytes()), " <==\n"].concat().as_bytes())
    }

    fn write(&self, text: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(text).and_then(|()| stdout.flush());
        written.map_err(|error| Failure::of_system("cannot write to standard output".to_owned(), &error))
    }
}
