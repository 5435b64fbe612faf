// What the PTX ISA says of each instruction at its edges: rounding, NaN, overflow, shifts by too much.
#include "tests/cuda_emulator/opcodes.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace eddl::cuda_emulator {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

uint64_t Compute(const char* name, uint64_t a, uint64_t b = 0, uint64_t c = 0) {
  const Opcode* opcode = FindOpcode(name);
  EXPECT_NE(opcode, nullptr) << name;
  return opcode == nullptr ? 0 : opcode->evaluate(a, b, c);
}
uint64_t F(float x) { return std::bit_cast<uint32_t>(x); }
uint64_t D(double x) { return std::bit_cast<uint64_t>(x); }
uint64_t S(int64_t x) { return static_cast<uint64_t>(x); }
float Float(uint64_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits)); }
int32_t Int(uint64_t bits) { return static_cast<int32_t>(bits); }

TEST(OpcodesTest, IntegersWrapAround) {
  EXPECT_EQ(Int(Compute("add.s32", 0x7fffffff, 1)), std::numeric_limits<int32_t>::min());
  EXPECT_EQ(Int(Compute("mul.lo.s32", 0x10000, 0x10000)), 0);
  EXPECT_EQ(Int(Compute("mad.lo.s32", S(-3), 5, 7)), -8);
  EXPECT_EQ(Int(Compute("neg.s32", 0x80000000)), std::numeric_limits<int32_t>::min());
  EXPECT_EQ(Compute("sub.s64", 0, 1), ~uint64_t{0});
}

TEST(OpcodesTest, RegistersMayHoldMoreThanTheType) {
  EXPECT_EQ(Int(Compute("add.s32", 0xdead'0000'0001, 0xbeef'0000'0002)), 3);
  EXPECT_EQ(Compute("setp.eq.s32", 0xdead'0000'0001, 1), 1u);
}

TEST(OpcodesTest, WideAndHighProductsKeepTheSign) {
  EXPECT_EQ(static_cast<int64_t>(Compute("mul.wide.s32", S(-2), 0x7fffffff)), -2 * int64_t{0x7fffffff});
  EXPECT_EQ(Compute("mul.wide.u32", 0xffffffff, 0xffffffff), 0xfffffffe00000001);
  EXPECT_EQ(Int(Compute("mul.hi.s32", S(-1), 2)), -1);
  EXPECT_EQ(Compute("mul.hi.u32", 0xffffffff, 0xffffffff), 0xfffffffe);
  EXPECT_EQ(Compute("mul.hi.u64", ~uint64_t{0}, 2), 1u);
}

TEST(OpcodesTest, DivisionTruncatesAndDoesNotTrap) {
  EXPECT_EQ(Int(Compute("div.s32", S(-7), 2)), -3);
  EXPECT_EQ(Int(Compute("rem.s32", S(-7), 2)), -1);
  EXPECT_EQ(Int(Compute("div.s32", 0x80000000, S(-1))), std::numeric_limits<int32_t>::min());
  EXPECT_EQ(Int(Compute("rem.s32", 0x80000000, S(-1))), 0);
  EXPECT_EQ(Int(Compute("div.s32", 5, 0)), -1);
}

TEST(OpcodesTest, ShiftsByMoreThanTheWidthAreDefined) {
  EXPECT_EQ(Compute("shl.b32", 1, 32), 0u);
  EXPECT_EQ(Compute("shr.u32", 0x80000000, 33), 0u);
  EXPECT_EQ(Int(Compute("shr.s32", 0x80000000, 99)), -1);
  EXPECT_EQ(Compute("shr.u64", 0x8000000000000000, 63), 1u);
  EXPECT_EQ(Int(Compute("shr.s32", S(-8), 1)), -4);
}

TEST(OpcodesTest, MinimumAndMaximumPreferANumberAndKnowTheSignOfZero) {
  EXPECT_EQ(Float(Compute("max.f32", F(kNan), F(2))), 2);
  EXPECT_EQ(Float(Compute("min.f32", F(3), F(kNan))), 3);
  EXPECT_TRUE(std::isnan(Float(Compute("max.f32", F(kNan), F(kNan)))));
  EXPECT_FALSE(std::signbit(Float(Compute("max.f32", F(-0.0f), F(0.0f)))));
  EXPECT_TRUE(std::signbit(Float(Compute("min.f32", F(0.0f), F(-0.0f)))));
}

TEST(OpcodesTest, ComparisonsOfNan) {
  for (const char* ordered :
       {"setp.eq.f32", "setp.ne.f32", "setp.lt.f32", "setp.le.f32", "setp.gt.f32", "setp.ge.f32", "setp.num.f32"}) {
    EXPECT_EQ(Compute(ordered, F(kNan), F(1)), 0u) << ordered;
  }
  for (const char* unordered : {"setp.equ.f32", "setp.neu.f32", "setp.ltu.f32", "setp.leu.f32", "setp.gtu.f32",
                                "setp.geu.f32", "setp.nan.f32"}) {
    EXPECT_EQ(Compute(unordered, F(1), F(kNan)), 1u) << unordered;
  }
  EXPECT_EQ(Compute("setp.leu.f32", F(2), F(1)), 0u);
  EXPECT_EQ(Compute("setp.geu.f32", F(1), F(1)), 1u);
  EXPECT_EQ(Compute("setp.equ.f32", F(1), F(1)), 1u);
}

TEST(OpcodesTest, ComparisonsJoinAPredicate) {
  EXPECT_EQ(Compute("setp.lt.and.s32", S(-1), 0, 1), 1u);
  EXPECT_EQ(Compute("setp.lt.and.s32", S(-1), 0, 0), 0u);
  EXPECT_EQ(Compute("setp.lt.or.u32", S(-1), 0, 1), 1u);  // 0xffffffff is no small number
  EXPECT_EQ(Compute("setp.eq.xor.s32", 1, 1, 1), 0u);
}

TEST(OpcodesTest, FloatsBecomeIntegersBySaturation) {
  EXPECT_EQ(Int(Compute("cvt.rzi.s32.f32", F(-1.9f))), -1);
  EXPECT_EQ(Int(Compute("cvt.rni.s32.f32", F(2.5f))), 2);
  EXPECT_EQ(Int(Compute("cvt.rmi.s32.f32", F(-1.1f))), -2);
  EXPECT_EQ(Int(Compute("cvt.rpi.s32.f32", F(1.1f))), 2);
  EXPECT_EQ(Int(Compute("cvt.rzi.s32.f32", F(1e20f))), std::numeric_limits<int32_t>::max());
  EXPECT_EQ(Int(Compute("cvt.rzi.s32.f32", F(-kInfinity))), std::numeric_limits<int32_t>::min());
  EXPECT_EQ(Int(Compute("cvt.rzi.s32.f32", F(kNan))), 0);
  EXPECT_EQ(Compute("cvt.rzi.s64.f64", D(9.3e18)), uint64_t{0x7fffffffffffffff});
  EXPECT_EQ(Compute("cvt.rzi.s64.f64", D(-9.3e18)), uint64_t{0x8000000000000000});
  EXPECT_EQ(Int(Compute("cvt.rzi.u32.f32", F(-5))), 0);
}

TEST(OpcodesTest, IntegersBecomeWiderBySignAndNarrowerByTheirLowBits) {
  EXPECT_EQ(static_cast<int64_t>(Compute("cvt.s64.s32", 0xffffffff)), -1);
  EXPECT_EQ(Compute("cvt.u64.u32", 0xffffffff), 0xffffffffu);
  EXPECT_EQ(Compute("cvt.u16.u32", 0x12345678), 0x5678u);
  EXPECT_EQ(Float(Compute("cvt.rn.f32.s32", 16777217)), 16777216);
  EXPECT_EQ(Float(Compute("cvt.rn.f32.s64", S(-1))), -1);
  EXPECT_EQ(Float(Compute("cvt.rn.f32.f64", D(1e300))), kInfinity);
}

TEST(OpcodesTest, RoundingIsAsTheNameSays) {
  const float tiny = 0x1p-30f;
  EXPECT_EQ(Float(Compute("fma.rm.f32", F(1), F(1), F(-tiny))), std::nextafter(1.0f, 0.0f));
  EXPECT_EQ(Float(Compute("fma.rn.f32", F(1), F(1), F(-tiny))), 1);
  EXPECT_EQ(Float(Compute("add.rz.f32", F(1), F(-tiny))), std::nextafter(1.0f, 0.0f));
  EXPECT_EQ(Float(Compute("add.f32", F(1), F(-tiny))), 1);
  // One rounding, not two.
  const float x = 1 + 0x1p-12f;
  EXPECT_EQ(Float(Compute("fma.rn.f32", F(x), F(x), F(-1))), 0x1p-11f + 0x1p-24f);
  EXPECT_EQ(Float(Compute("cvt.rni.f32.f32", F(2.5f))), 2);
}

TEST(OpcodesTest, FlushesSubnormalsOnlyWhereTheNameSays) {
  EXPECT_EQ(Float(Compute("ex2.approx.ftz.f32", F(-127))), 0);
  EXPECT_GT(Float(Compute("ex2.approx.f32", F(-127))), 0);
  EXPECT_EQ(Float(Compute("rcp.approx.ftz.f32", F(1e-40f))), kInfinity);
  EXPECT_EQ(Float(Compute("ex2.approx.ftz.f32", F(3))), 8);
}

TEST(OpcodesTest, SaturationMakesNanZero) {
  EXPECT_EQ(Float(Compute("cvt.sat.f32.f32", F(kNan))), 0);
  EXPECT_EQ(Float(Compute("cvt.sat.f32.f32", F(7))), 1);
  EXPECT_EQ(Float(Compute("cvt.sat.f32.f32", F(-7))), 0);
}

TEST(OpcodesTest, CopysignTakesTheSignOfTheFirst) {
  EXPECT_EQ(Float(Compute("copysign.f32", F(-1), F(3))), -3);
  EXPECT_EQ(Float(Compute("copysign.f32", F(1), F(-3))), 3);
}

TEST(OpcodesTest, PredicatesAreBits) {
  EXPECT_EQ(Compute("not.pred", 1), 0u);
  EXPECT_EQ(Compute("not.pred", 0), 1u);
  EXPECT_EQ(Compute("or.pred", 0, 1), 1u);
  EXPECT_EQ(Compute("and.pred", 1, 0), 0u);
  EXPECT_EQ(Compute("selp.b32", 5, 6, 0), 6u);
}

TEST(OpcodesTest, DoesNotGuess) {
  EXPECT_EQ(FindOpcode("add.f16"), nullptr);
  EXPECT_EQ(FindOpcode("shfl.sync.bfly.b32"), nullptr);
  EXPECT_EQ(FindOpcode("mul.wide.s64"), nullptr);
  EXPECT_EQ(FindAtomic("cas.b32"), nullptr);
}

}  // namespace
}  // namespace eddl::cuda_emulator
