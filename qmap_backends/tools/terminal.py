"""The terminal of the console: text that is safe to show on it, and the screen that it draws on."""

import curses
import locale
import os
import re
import select
import signal
import termios
import unicodedata

from qmap import open_regular

#: Bytes of a file that are shown, from its end or its beginning.
SHOWN = 256 * 1024

ESCAPES = re.compile(r'\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])')


##############################################################################################################
# Text
##############################################################################################################

def is_ascii(text):
    """Tell whether text has only characters of ASCII."""
    return len(text) == len(text.encode('utf-8', 'replace'))


def clean_text(text, ascii_only=False):
    """Return text in which each character is one that a terminal shows and does not obey.

    Args:
        text: of any origin
        ascii_only: for terminals that do not speak UTF-8
    """
    if text.isprintable():
        if not ascii_only or is_ascii(text):
            return text
    return ''.join(char if ' ' <= char <= '~' else shown_char(char, ascii_only) for char in text)


def shown_char(char, ascii_only):
    """Return what is shown for a character outside of ASCII's printable ones."""
    code = ord(char)
    if code < 32 or code == 127:
        return '^' + chr(code ^ 64)
    if 0xdc80 <= code <= 0xdcff:    # a byte that was no UTF-8 (surrogateescape)
        return '\\x{:02x}'.format(code - 0xdc00)
    if unicodedata.category(char) == 'Zs':
        return ' '
    return char if char.isprintable() and not ascii_only else '?'


def char_cells(char):
    """Return how many cells of a terminal a printable character takes."""
    if unicodedata.category(char) in ('Mn', 'Me'):
        return 0
    return 2 if unicodedata.east_asian_width(char) in 'WF' else 1


def text_cells(text):
    """Return how many cells of a terminal clean text takes."""
    return len(text) if is_ascii(text) else sum(map(char_cells, text))


def clip_text(text, width):
    """Return as much of clean text as fits in so many cells."""
    if is_ascii(text):
        return text[:width]
    taken = 0
    for index, char in enumerate(text):
        taken += char_cells(char)
        if taken > width:
            return text[:index]
    return text


def wrap_text(text, width, words=False):
    """Yield clean text in lines of at most so many cells, at least one.

    Args:
        text: clean
        width: cells
        words: whether it is cut between words, where they are not too long
    """
    width = max(2, width)
    while True:
        part = clip_text(text, width)
        space = part.rfind(' ') + 1
        if words and len(part) < len(text) and text[len(part)] != ' ' and space > len(part) // 2:
            part = part[:space]
        yield part
        text = text[len(part):]
        if not text:
            return


def text_lines(data, ascii_only):
    """Return the lines of a file's bytes as clean text: without escape sequences, of a line that was drawn
    over itself only the last state."""
    text = ESCAPES.sub('', data.decode('utf-8', 'backslashreplace'))
    lines = text.split('\n')
    if not lines[-1]:
        lines.pop()
    return [clean_text(line.rstrip('\r').rpartition('\r')[2].expandtabs(), ascii_only) for line in lines]


def short_time(seconds):
    """Return seconds as '45s', '12m05s', '3h05m', '2d07h'."""
    seconds = max(0, int(seconds))
    if seconds < 60:
        return '{}s'.format(seconds)
    if seconds < 3600:
        return '{}m{:02d}s'.format(seconds // 60, seconds % 60)
    if seconds < 86400:
        return '{}h{:02d}m'.format(seconds // 3600, seconds // 60 % 60)
    return '{}d{:02d}h'.format(seconds // 86400, seconds // 3600 % 24)


def exact_time(seconds):
    """Return seconds of something that is over: below ten, tenths as well."""
    return '{:.1f}s'.format(max(0, seconds)) if seconds < 9.95 else short_time(seconds)


def rough_time(seconds):
    """Return seconds as '45s', '12m', '3h05m': of an estimate, or of what is drawn for many jobs."""
    return '{}m'.format(int(seconds) // 60) if 60 <= seconds < 3600 else short_time(seconds)


def read_part(path, from_end=True, size=SHOWN):
    """Return (bytes, how many are before them, how many behind) of a file, None where it cannot be read."""
    try:
        with open_regular(path) as source:    # anew each time: over NFS only that shows what others wrote
            whole = os.fstat(source.fileno()).st_size
            start = max(0, whole - size) if from_end else 0
            source.seek(start)
            data = source.read(size)
    except OSError:
        return None
    return data, start, max(0, whole - start - len(data))


##############################################################################################################
# The terminal
##############################################################################################################

class Screen:
    """The terminal while it is ours, and what is drawn on it.

    Attributes:
        ascii_only: whether it speaks only ASCII
        colours: whether it shows colours
        size: (lines, columns)
        away: whether it is somebody else's now: we were suspended, or put into the background
        is_open: whether it was not given back yet
    """

    NAMES = {curses.KEY_UP: 'up', curses.KEY_DOWN: 'down', curses.KEY_LEFT: 'left', curses.KEY_RIGHT: 'right',
             curses.KEY_PPAGE: 'pgup', curses.KEY_NPAGE: 'pgdn', curses.KEY_HOME: 'home',
             curses.KEY_END: 'end', curses.KEY_ENTER: 'enter', curses.KEY_BACKSPACE: 'backspace',
             curses.KEY_BTAB: 'backtab', curses.KEY_DC: 'delete', '\n': 'enter', '\r': 'enter', '\x1b': 'esc',
             '\t': 'tab', '\x7f': 'backspace', '\b': 'backspace', '\x0c': 'redraw', '\x02': 'pgup',
             '\x06': 'pgdn', '\x15': 'clear'}

    #: Of the statuses (X: cancelled), of trouble, and of the parts of a page: colour, and what else tells it.
    COLOURS = {'.': (-1, curses.A_DIM), 'P': (curses.COLOR_YELLOW, 0),
               'R': (curses.COLOR_CYAN, curses.A_BOLD),
               'C': (curses.COLOR_GREEN, 0), 'F': (curses.COLOR_RED, curses.A_BOLD),
               'X': (curses.COLOR_MAGENTA, 0), 'O': (-1, curses.A_BOLD),
               'trouble': (curses.COLOR_RED, curses.A_REVERSE | curses.A_BOLD), 'dim': (-1, curses.A_DIM),
               'bold': (-1, curses.A_BOLD), 'bar': (-1, curses.A_REVERSE), 'key': (-1, curses.A_REVERSE),
               'title': (-1, curses.A_BOLD | curses.A_UNDERLINE)}

    def __init__(self):
        """Take the terminal.

        Raises:
            curses.error: it cannot be drawn on
        """
        curses.setupterm()    # initscr would end the process where the terminal is not known
        if not curses.tigetstr('cup'):
            raise curses.error('the cursor cannot be moved')
        self.ascii_only = locale.nl_langinfo(locale.CODESET).upper() not in ('UTF-8', 'UTF8')
        patience, os.environ['ESCDELAY'] = os.environ.get('ESCDELAY'), os.environ.get('ESCDELAY', '40')
        try:
            self._window = curses.initscr()
        finally:    # the jobs shall not see it
            if patience is None:
                del os.environ['ESCDELAY']
        self.away, self.is_open = False, True
        self._input = select.poll()
        self._input.register(0, select.POLLIN)
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self):
        curses.noecho()
        curses.cbreak()
        self._window.keypad(True)
        self._window.nodelay(True)
        self._cursor(0)
        modes = termios.tcgetattr(0)
        modes[6][termios.VQUIT] = b'\0'    # Ctrl-\ would end us, and leave the terminal as it is now
        termios.tcsetattr(0, termios.TCSANOW, modes)
        curses.def_prog_mode()
        self._attributes = {name: more for name, (_, more) in self.COLOURS.items()}
        self.colours = curses.has_colors() and not os.environ.get('NO_COLOR')
        if self.colours:
            curses.start_color()
            curses.use_default_colors()
            for pair, (name, (colour, more)) in enumerate(self.COLOURS.items(), 1):
                if colour >= 0:
                    curses.init_pair(pair, colour, -1)
                    self._attributes[name] = more | curses.color_pair(pair)
        self._signals = {number: signal.signal(number, self._signal)
                         for number in (signal.SIGTSTP, signal.SIGCONT)}
        self._stopped = self._continued = False
        self.size, self._drawn_size = self._window.getmaxyx(), None

    def _signal(self, number, frame):
        if number == signal.SIGTSTP:
            self._stopped = True
        else:
            self._continued = True

    @staticmethod
    def _cursor(kind):
        try:
            curses.curs_set(kind)
        except curses.error:
            pass    # it has no such thing

    def close(self):
        """Give the terminal back as it was."""
        if self.is_open:
            self.is_open = False
            for number, handler in getattr(self, '_signals', {}).items():
                signal.signal(number, handler)
            if not self.away:
                self._cursor(1)
                try:
                    curses.endwin()
                except curses.error:
                    pass    # it is gone

    def ready(self):
        """Look after suspensions and the size, and tell whether the terminal is ours to draw on."""
        if self._stopped:
            self._suspend()
        ours, is_back = in_foreground(), self.away or self._continued
        if ours and is_back:
            self.away = self._continued = False
            curses.reset_prog_mode()
            self._window.keypad(True)
            self._cursor(0)
            self.redraw()
        elif not ours:
            self.away = True
        if ours:
            self._resize()
        return ours

    def _suspend(self):
        self._stopped = False
        if not self.away:
            self._cursor(1)
            curses.endwin()
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)    # here it stands still, and goes on at SIGCONT
        signal.signal(signal.SIGTSTP, handler)
        self.away = True

    def _resize(self):
        try:
            size = os.get_terminal_size(1)
        except OSError:
            return
        if size.lines and size.columns and (size.lines, size.columns) != self._window.getmaxyx():
            curses.resizeterm(size.lines, size.columns)
            self.redraw()
        self.size = self._window.getmaxyx()

    def redraw(self):
        """Draw all of it the next time, not only what has changed."""
        self._window.clearok(True)

    @property
    def resized(self):
        """Whether it has another size than what was drawn last."""
        return self.size != self._drawn_size

    def wait(self, seconds):
        """Wait for a key, at most for some seconds. Return whether the terminal is still there."""
        gone = select.POLLHUP | select.POLLERR | select.POLLNVAL
        return not any(what & gone for _, what in self._input.poll(int(1000 * seconds)))

    def keys(self):
        """Return the list of keys that were pressed: characters, or words such as 'enter'."""
        found = []
        while len(found) < 500:
            try:
                key = self._window.get_wch()
            except (curses.error, ValueError):    # ValueError: not in the terminal's encoding
                break
            name = self.NAMES.get(key, key)
            if isinstance(name, str):
                found.append(name)
        return found

    def attribute(self, name):
        """Return the attribute of one of COLOURS."""
        return self._attributes.get(name, 0)

    def begin(self):
        """Start with an empty screen."""
        self._drawn_size = self.size
        self._window.erase()

    def put(self, y, x, text, look='', fill=False):
        """Draw text from a cell on, as far as there is room, and return the column behind it.

        Args:
            y, x: line and column
            text: of any origin
            look: see `attribute`
            fill: whether the rest of the line gets the same look
        """
        lines, columns = self.size
        if not 0 <= y < lines or not 0 <= x < columns:
            return x
        text = clip_text(clean_text(text, self.ascii_only), columns - x)
        end = x + text_cells(text)
        if fill:
            text += ' ' * (columns - end)
        try:
            self._window.addstr(y, x, text, self.attribute(look))
        except (curses.error, UnicodeError):
            pass    # the last cell of the screen: it is drawn, but the cursor cannot go on
        return end

    def put_parts(self, y, x, parts):
        """Draw a list of (text, look) one behind the other, and return the column behind them."""
        for text, look in parts:
            x = self.put(y, x, text, look)
        return x

    @property
    def blocks(self):
        """The characters of which a bar is made, by status letter; the letters where there are no colours."""
        if self.ascii_only or not self.colours:
            return {letter: letter for letter in 'CFXORP.'}
        return {'C': '\u2588', 'F': '\u2588', 'X': '\u2593', 'O': '\u2593', 'R': '\u2593', 'P': '\u2592',
                '.': '\u2591'}

    @property
    def dot(self):
        """What stands between two figures."""
        return ' | ' if self.ascii_only else ' \u00b7 '

    @property
    def ellipsis(self):
        """What stands for text that is left out."""
        return '...' if self.ascii_only else '\u2026'

    def end(self):
        """Send what has changed."""
        self._window.noutrefresh()
        curses.doupdate()


def in_foreground():
    """Tell whether the terminal is ours, not that of another job of the shell."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return True    # no controlling terminal
