// Reproducer files: written, read back, and torn.
#include "backends/sdk/conformance/reproducer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace eddl::conformance {
namespace {

const Reproducer kReproducer = {.suite = "0.1.0",
                                .plugin = "/opt/a = b/libeddl_backend_mine.so",
                                .backend = "mine 1.0 (driver 7)",
                                .device = 1,
                                .seed = 18446744073709551615u,
                                .threads = 2,
                                .case_name = "interface/keeps the order of a queue",
                                .description = "case ..\n\n  got 1, expected 2\n"};

TEST(ReproducerTest, IsReadBackAsItWasWritten) {
  Reproducer read;
  ASSERT_EQ(ParseReproducer(FormatReproducer(kReproducer), &read), std::nullopt);
  EXPECT_EQ(FormatReproducer(read), FormatReproducer(kReproducer));
  EXPECT_EQ(read.plugin, kReproducer.plugin);
  EXPECT_EQ(read.seed, kReproducer.seed);
  EXPECT_EQ(read.description, kReproducer.description);
}

TEST(ReproducerTest, SaysWhatIsWrongWithAFile) {
  const auto problem = [](const std::string& text) {
    Reproducer read;
    return ParseReproducer(text, &read).value_or("read");
  };
  const std::string whole = FormatReproducer(kReproducer);
  EXPECT_EQ(problem(""), "there is no line 'suite = ...'");
  EXPECT_EQ(problem("nonsense"), "line 1 is not of the form 'key = value': nonsense");
  EXPECT_EQ(problem(whole.substr(0, whole.find("\ncase"))), "there is no line 'case = ...'");
  std::string letters = whole;
  letters.replace(letters.find("device = 1"), 10, "device = x");
  EXPECT_EQ(problem(letters), "device, seed and threads are not all numbers");
  // However it is torn, it is read or refused.
  for (size_t size = 0; size < whole.size(); ++size) problem(whole.substr(0, size));
}

TEST(ReproducerTest, TheFilesNameTellsTheCase) {
  EXPECT_EQ(ReproducerFileName("conv2d_grad_input/12"), "conv2d_grad_input-12.txt");
  EXPECT_EQ(ReproducerFileName("interface/fills with 1, 2"), "interface-fills-with-1--2.txt");
}

}  // namespace
}  // namespace eddl::conformance
