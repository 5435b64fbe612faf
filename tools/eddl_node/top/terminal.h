// FullScreen: a terminal that is drawn on as a whole, given back as it was. One thread.
#pragma once

#include <termios.h>

#include <string>

namespace eddl {

class FullScreen {
 public:
  // Takes over stdout's terminal, if it is one: another screen, no cursor, keys come one by one.
  FullScreen();
  ~FullScreen();
  FullScreen(const FullScreen&) = delete;
  FullScreen& operator=(const FullScreen&) = delete;

  // Over what was there.
  void Draw(const std::string& text) const;
  // Waits so long for a key: 0 if none came.
  char Key(int milliseconds);

 private:
  termios before_{};
  bool has_keys_ = false;
};

struct TerminalSize {
  size_t width = 80;
  size_t height = 24;
};
TerminalSize SizeOfTerminal();
// Whether the locale's characters are UTF-8.
bool TerminalIsUnicode();

}  // namespace eddl
