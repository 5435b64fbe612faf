// FactsCheck: what we take for true of a vendor's interface, asked of the real one by a program of its own.
//
// The program is called after the backend, cuda_facts, and lies beside this one. It prints "true  ..." or "FALSE ..."
// lines and ends with 0, 1, or 77 where there is no device. Apart from this process, so that a driver that breaks takes
// nothing along.
#pragma once

#include <string>
#include <vector>

namespace eddl {

struct FactsCheck {
  enum class Outcome { kPassed, kFailed, kSkipped };

  Outcome outcome = Outcome::kSkipped;
  int held = 0;                    // facts that are true
  std::vector<std::string> wrong;  // those that are not, in the program's words
  std::string reason;              // of a skip, or of a program that broke

  // "facts: 31 hold", "facts: 2 of 31 are FALSE: ..", "facts: not checked: ..".
  std::string Text() const;
};

// Whether there are facts about a backend of that name.
bool HasFacts(const std::string& backend);
FactsCheck CheckFacts(const std::string& backend);

}  // namespace eddl
