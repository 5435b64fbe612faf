#include "tools/eddl_node/top/terminal.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace eddl {

FullScreen::FullScreen() {
  std::fputs("\x1b[?1049h\x1b[?25l", stdout);
  std::fflush(stdout);
  has_keys_ = isatty(STDIN_FILENO) != 0 && tcgetattr(STDIN_FILENO, &before_) == 0;
  if (!has_keys_) return;
  termios raw = before_;
  raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

FullScreen::~FullScreen() {
  if (has_keys_) tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  std::fputs("\x1b[?25h\x1b[?1049l", stdout);
  std::fflush(stdout);
}

void FullScreen::Draw(const std::string& text) const {
  // Each line wipes what is right of it, and the last what is below: no flicker.
  std::string frame = "\x1b[H";
  for (const char c : text) frame += c == '\n' ? std::string("\x1b[K\r\n") : std::string(1, c);
  frame += "\x1b[J";
  std::fwrite(frame.data(), 1, frame.size(), stdout);
  std::fflush(stdout);
}

char FullScreen::Key(int milliseconds) {
  pollfd wait = {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  char key = 0;
  if (poll(&wait, has_keys_ ? 1 : 0, milliseconds) <= 0) return 0;
  if ((wait.revents & POLLIN) != 0 && read(STDIN_FILENO, &key, 1) == 1) return key;
  // Its other end is gone: no keys any more, and no waiting for them.
  has_keys_ = false;
  return 0;
}

TerminalSize SizeOfTerminal() {
  winsize size{};
  const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0;
  return known ? TerminalSize{.width = size.ws_col, .height = size.ws_row} : TerminalSize{};
}

bool TerminalIsUnicode() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    const std::string text = value;
    return text.find("UTF-8") != std::string::npos || text.find("utf8") != std::string::npos;
  }
  return false;
}

}  // namespace eddl
