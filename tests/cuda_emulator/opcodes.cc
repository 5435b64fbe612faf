#include "tests/cuda_emulator/opcodes.h"

#include <algorithm>
#include <bit>
#include <cfenv>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <string>
#include <type_traits>

namespace eddl::cuda_emulator {
namespace {

// The low bits of a register as a value of T, and back; signed integers fill the register with their sign.
template <typename T>
T As(uint64_t bits) {
  if constexpr (std::is_same_v<T, bool>) {
    return bits != 0;
  } else if constexpr (std::integral<T>) {
    return static_cast<T>(bits);
  } else {
    T value;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
  }
}

template <typename T>
uint64_t Bits(T value) {
  if constexpr (std::integral<T>) {
    return static_cast<uint64_t>(static_cast<int64_t>(value));
  } else {
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(value));
    return bits;
  }
}

// ---- Functions of values as functions of registers. ----

template <typename T, auto kFunction>
Opcode Unary() {
  return {[](uint64_t a, uint64_t, uint64_t) { return Bits(static_cast<T>(kFunction(As<T>(a)))); }, 1};
}
template <typename T, auto kFunction>
Opcode Binary() {
  return {[](uint64_t a, uint64_t b, uint64_t) { return Bits(static_cast<T>(kFunction(As<T>(a), As<T>(b)))); }, 2};
}
template <typename T, auto kFunction>
Opcode Ternary() {
  return {
      [](uint64_t a, uint64_t b, uint64_t c) { return Bits(static_cast<T>(kFunction(As<T>(a), As<T>(b), As<T>(c)))); },
      3};
}
// From a value of one type to a value of another.
template <typename To, typename From, auto kFunction>
Opcode Convert() {
  return {[](uint64_t a, uint64_t, uint64_t) { return Bits(static_cast<To>(kFunction(As<From>(a)))); }, 1};
}
template <typename T>
constexpr auto kSame = [](T x) { return x; };

// ---- Rounding. ----

// Holds a rounding mode for a scope; results go through volatile so that no operation moves out of it.
class Rounding {
 public:
  explicit Rounding(int mode) : before_(std::fegetround()) { std::fesetround(mode); }
  Rounding(const Rounding&) = delete;
  Rounding& operator=(const Rounding&) = delete;
  ~Rounding() { std::fesetround(before_); }

 private:
  int before_;
};

template <int kMode>
float AddRounded(float a, float b) {
  const Rounding rounding(kMode);
  const volatile float x = a, y = b;
  const volatile float sum = x + y;
  return sum;
}

template <int kMode>
float FmaRounded(float a, float b, float c) {
  const Rounding rounding(kMode);
  const volatile float x = a, y = b, z = c;
  const volatile float result = std::fma(x, y, z);
  return result;
}

// ".ftz": a subnormal counts as zero of its sign.
float Flushed(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x; }

float Saturated(float x) { return x > 0 ? std::min(x, 1.0f) : 0.0f; }  // NaN gives 0

// PTX: the other operand if one is NaN; +0 is greater than -0.
template <typename T>
T Minimum(T a, T b) {
  if (a == 0 && b == 0) return std::signbit(a) ? a : b;
  return std::fmin(a, b);
}
template <typename T>
T Maximum(T a, T b) {
  if (a == 0 && b == 0) return std::signbit(a) ? b : a;
  return std::fmax(a, b);
}

// To the nearest value that the integer has; NaN gives 0. x is integral already.
template <std::integral To, typename From>
To Clamped(From x) {
  if (std::isnan(x)) return 0;
  // The first value beyond the largest is a power of two, and so is the smallest: both are exact.
  const From beyond = std::ldexp(From{1}, std::numeric_limits<To>::digits);
  if (x >= beyond) return std::numeric_limits<To>::max();
  if (x <= static_cast<From>(std::numeric_limits<To>::min())) return std::numeric_limits<To>::min();
  return static_cast<To>(x);
}

// ---- The table, a family at a time. ----

using Table = std::map<std::string, Opcode, std::less<>>;

// Amounts are taken as unsigned 32-bit numbers and clamped to the width.
template <std::integral T>
Opcode ShiftLeft() {
  return {[](uint64_t a, uint64_t b, uint64_t) {
            const auto amount = static_cast<uint32_t>(b);
            return amount >= 8 * sizeof(T) ? 0 : Bits(static_cast<T>(a << amount));
          },
          2};
}
template <std::integral T>
Opcode ShiftRight() {
  return {[](uint64_t a, uint64_t b, uint64_t) {
            const auto last = static_cast<uint32_t>(8 * sizeof(T) - 1);
            const auto amount = static_cast<uint32_t>(b);
            if (std::is_unsigned_v<T> && amount > last) return uint64_t{0};
            return Bits(static_cast<T>(As<T>(a) >> std::min(amount, last)));
          },
          2};
}

// Division by zero is not defined in PTX; what GPUs give is all ones.
template <std::integral T>
T Quotient(T a, T b) {
  if (b == 0) return static_cast<T>(~T{0});
  if (std::is_signed_v<T> && b == static_cast<T>(-1)) return static_cast<T>(-static_cast<std::make_unsigned_t<T>>(a));
  return static_cast<T>(a / b);
}
template <std::integral T>
T Remainder(T a, T b) {
  if (b == 0) return a;
  return std::is_signed_v<T> && b == static_cast<T>(-1) ? T{0} : static_cast<T>(a % b);
}

// Wide: the type of twice the width.
template <std::integral T, typename Wide>
T HighHalf(T a, T b) {
  return static_cast<T>((static_cast<Wide>(a) * b) >> (8 * sizeof(T)));
}
template <std::integral T, typename Wide>
void AddIntegers(const std::string& type, Table* table) {
  using U = std::make_unsigned_t<T>;  // wraps around
  Table& t = *table;
  t["add." + type] = Binary<U, [](uint64_t a, uint64_t b) { return a + b; }>();
  t["sub." + type] = Binary<U, [](uint64_t a, uint64_t b) { return a - b; }>();
  t["mul.lo." + type] = Binary<U, [](uint64_t a, uint64_t b) { return a * b; }>();
  t["mad.lo." + type] = Ternary<U, [](uint64_t a, uint64_t b, uint64_t c) { return a * b + c; }>();
  t["mul.hi." + type] = Binary<T, HighHalf<T, Wide>>();
  t["div." + type] = Binary<T, Quotient<T>>();
  t["rem." + type] = Binary<T, Remainder<T>>();
  t["min." + type] = Binary<T, [](T a, T b) { return std::min(a, b); }>();
  t["max." + type] = Binary<T, [](T a, T b) { return std::max(a, b); }>();
  t["shr." + type] = ShiftRight<T>();
  if constexpr (std::is_signed_v<T>) {
    t["neg." + type] = Unary<U, [](uint64_t a) { return 0 - a; }>();
    t["abs." + type] = Unary<U, [](U a) { return static_cast<T>(a) < 0 ? U{0} - a : a; }>();
  }
  if constexpr (sizeof(T) < 8) {
    t["mul.wide." + type] = {
        [](uint64_t a, uint64_t b, uint64_t) { return Bits(static_cast<Wide>(As<T>(a)) * As<T>(b)); }, 2};
    t["mad.wide." + type] = {
        [](uint64_t a, uint64_t b, uint64_t c) { return Bits(static_cast<Wide>(As<T>(a)) * As<T>(b)) + c; }, 3};
  }
}

template <typename T>
T Complement(T a) {
  if constexpr (std::is_same_v<T, bool>) {
    return !a;
  } else {
    return static_cast<T>(~a);
  }
}

template <typename T>
void AddBits(const std::string& type, Table* table) {
  Table& t = *table;
  t["and." + type] = Binary<T, [](T a, T b) { return a & b; }>();
  t["or." + type] = Binary<T, [](T a, T b) { return a | b; }>();
  t["xor." + type] = Binary<T, [](T a, T b) { return a ^ b; }>();
  t["not." + type] = Unary<T, Complement<T>>();
  t["mov." + type] = Unary<T, kSame<T>>();
  if constexpr (!std::is_same_v<T, bool>) {
    t["shl." + type] = ShiftLeft<T>();
    t["shr." + type] = ShiftRight<T>();
    t["selp." + type] = {[](uint64_t a, uint64_t b, uint64_t c) { return c != 0 ? a : b; }, 3};
  }
}

template <typename T>
void AddFloats(const std::string& type, Table* table) {
  Table& t = *table;
  for (const char* round : {".", ".rn."}) {  // to nearest is the default
    t["add" + (round + type)] = Binary<T, [](T a, T b) { return a + b; }>();
    t["sub" + (round + type)] = Binary<T, [](T a, T b) { return a - b; }>();
    t["mul" + (round + type)] = Binary<T, [](T a, T b) { return a * b; }>();
  }
  t["fma.rn." + type] = Ternary<T, [](T a, T b, T c) { return std::fma(a, b, c); }>();
  t["div.rn." + type] = Binary<T, [](T a, T b) { return a / b; }>();
  t["rcp.rn." + type] = Unary<T, [](T a) { return T{1} / a; }>();
  t["sqrt.rn." + type] = Unary<T, [](T a) { return std::sqrt(a); }>();
  t["neg." + type] = Unary<T, [](T a) { return -a; }>();
  t["abs." + type] = Unary<T, [](T a) { return std::fabs(a); }>();
  t["min." + type] = Binary<T, Minimum<T>>();
  t["max." + type] = Binary<T, Maximum<T>>();
  t["copysign." + type] = Binary<T, [](T sign, T magnitude) { return std::copysign(magnitude, sign); }>();
  t["mov." + type] = Unary<T, kSame<T>>();
  t["selp." + type] = {[](uint64_t a, uint64_t b, uint64_t c) { return c != 0 ? a : b; }, 3};
  t["cvt.rni." + type + "." + type] = Unary<T, [](T a) { return std::nearbyint(a); }>();
  t["cvt.rzi." + type + "." + type] = Unary<T, [](T a) { return std::trunc(a); }>();
  t["cvt.rmi." + type + "." + type] = Unary<T, [](T a) { return std::floor(a); }>();
  t["cvt.rpi." + type + "." + type] = Unary<T, [](T a) { return std::ceil(a); }>();
}

// Approximate instructions are as exact here as the host's library: what a GPU gives differs in the last bits.
void AddApproximations(Table* table) {
  Table& t = *table;
  t["ex2.approx.f32"] = Unary<float, [](float a) { return std::exp2(a); }>();
  t["ex2.approx.ftz.f32"] = Unary<float, [](float a) { return Flushed(std::exp2(Flushed(a))); }>();
  t["lg2.approx.f32"] = Unary<float, [](float a) { return std::log2(a); }>();
  t["lg2.approx.ftz.f32"] = Unary<float, [](float a) { return std::log2(Flushed(a)); }>();
  t["rcp.approx.ftz.f32"] = Unary<float, [](float a) { return Flushed(1.0f / Flushed(a)); }>();
  t["rsqrt.approx.f32"] = Unary<float, [](float a) { return 1.0f / std::sqrt(a); }>();
  t["sqrt.approx.f32"] = Unary<float, [](float a) { return std::sqrt(a); }>();
  t["add.rz.f32"] = Binary<float, AddRounded<FE_TOWARDZERO>>();
  t["fma.rm.f32"] = Ternary<float, FmaRounded<FE_DOWNWARD>>();
  t["fma.rz.f32"] = Ternary<float, FmaRounded<FE_TOWARDZERO>>();
  t["cvt.sat.f32.f32"] = Unary<float, Saturated>();
  t["cvt.f64.f32"] = Convert<double, float, kSame<float>>();
  t["cvt.rn.f32.f64"] = Convert<float, double, kSame<double>>();
}

template <typename To, typename From>
void AddIntegerConversion(const std::string& to, const std::string& from, Table* table) {
  (*table)["cvt." + to + "." + from] = Convert<To, From, kSame<From>>();
}
template <typename T>
void AddIntegerConversions(const std::string& type, Table* table) {
  AddIntegerConversion<uint8_t, T>("u8", type, table);
  AddIntegerConversion<int8_t, T>("s8", type, table);
  AddIntegerConversion<uint16_t, T>("u16", type, table);
  AddIntegerConversion<int16_t, T>("s16", type, table);
  AddIntegerConversion<uint32_t, T>("u32", type, table);
  AddIntegerConversion<int32_t, T>("s32", type, table);
  AddIntegerConversion<uint64_t, T>("u64", type, table);
  AddIntegerConversion<int64_t, T>("s64", type, table);
  (*table)["cvt.rn.f32." + type] = Convert<float, T, kSame<T>>();
  (*table)["cvt.rn.f64." + type] = Convert<double, T, kSame<T>>();
}

template <std::integral To, typename From>
void AddFloatToInteger(const std::string& to, const std::string& from, Table* table) {
  Table& t = *table;
  const std::string types = to + "." + from;
  t["cvt.rni." + types] = Convert<To, From, [](From a) { return Clamped<To>(std::nearbyint(a)); }>();
  t["cvt.rzi." + types] = Convert<To, From, [](From a) { return Clamped<To>(std::trunc(a)); }>();
  t["cvt.rmi." + types] = Convert<To, From, [](From a) { return Clamped<To>(std::floor(a)); }>();
  t["cvt.rpi." + types] = Convert<To, From, [](From a) { return Clamped<To>(std::ceil(a)); }>();
}

// setp.CMP.TYPE a, b and setp.CMP.{and,or,xor}.TYPE a, b, c.
template <typename T, auto kCompare>
void AddComparison(const std::string& compare, const std::string& type, Table* table) {
  Table& t = *table;
  const std::string setp = "setp." + compare + ".";
  t[setp + type] = {[](uint64_t a, uint64_t b, uint64_t) -> uint64_t { return kCompare(As<T>(a), As<T>(b)); }, 2};
  t[setp + "and." + type] = {
      [](uint64_t a, uint64_t b, uint64_t c) -> uint64_t { return kCompare(As<T>(a), As<T>(b)) && c != 0; }, 3};
  t[setp + "or." + type] = {
      [](uint64_t a, uint64_t b, uint64_t c) -> uint64_t { return kCompare(As<T>(a), As<T>(b)) || c != 0; }, 3};
  t[setp + "xor." + type] = {
      [](uint64_t a, uint64_t b, uint64_t c) -> uint64_t { return kCompare(As<T>(a), As<T>(b)) != (c != 0); }, 3};
}

// Of floats: false where one is NaN, but for ne; that is != in C, whose ordered form is "one is less".
template <typename T>
void AddComparisons(const std::string& type, Table* table) {
  AddComparison<T, [](T a, T b) { return a == b; }>("eq", type, table);
  if constexpr (std::floating_point<T>) {
    AddComparison<T, [](T a, T b) { return a < b || b < a; }>("ne", type, table);
  } else {
    AddComparison<T, [](T a, T b) { return a != b; }>("ne", type, table);
  }
  AddComparison<T, [](T a, T b) { return a < b; }>("lt", type, table);
  AddComparison<T, [](T a, T b) { return a <= b; }>("le", type, table);
  AddComparison<T, [](T a, T b) { return b < a; }>("gt", type, table);
  AddComparison<T, [](T a, T b) { return b <= a; }>("ge", type, table);
}

// The forms that are true where one is NaN.
template <typename T>
void AddUnorderedComparisons(const std::string& type, Table* table) {
  AddComparison<T, [](T a, T b) { return !(a < b || b < a); }>("equ", type, table);
  AddComparison<T, [](T a, T b) { return a != b; }>("neu", type, table);
  AddComparison<T, [](T a, T b) { return !(b <= a); }>("ltu", type, table);
  AddComparison<T, [](T a, T b) { return !(b < a); }>("leu", type, table);
  AddComparison<T, [](T a, T b) { return !(a <= b); }>("gtu", type, table);
  AddComparison<T, [](T a, T b) { return !(a < b); }>("geu", type, table);
  AddComparison<T, [](T a, T b) { return !std::isnan(a) && !std::isnan(b); }>("num", type, table);
  AddComparison<T, [](T a, T b) { return std::isnan(a) || std::isnan(b); }>("nan", type, table);
}

template <typename Signed, typename WideSigned, typename WideUnsigned>
void AddWidth(const std::string& bits, Table* table) {
  using Unsigned = std::make_unsigned_t<Signed>;
  AddIntegers<Signed, WideSigned>("s" + bits, table);
  AddIntegers<Unsigned, WideUnsigned>("u" + bits, table);
  AddBits<Unsigned>("b" + bits, table);
  for (const char* type : {"u", "s"}) {
    (*table)["mov." + (type + bits)] = (*table)["mov.b" + bits];
    (*table)["selp." + (type + bits)] = (*table)["selp.b" + bits];
  }
  AddComparisons<Signed>("s" + bits, table);
  AddComparisons<Unsigned>("u" + bits, table);
  (*table)["setp.eq.b" + bits] = (*table)["setp.eq.u" + bits];
  (*table)["setp.ne.b" + bits] = (*table)["setp.ne.u" + bits];
  AddIntegerConversions<Signed>("s" + bits, table);
  AddIntegerConversions<Unsigned>("u" + bits, table);
}

Table MakeTable() {
  Table table;
  AddWidth<int16_t, int32_t, uint32_t>("16", &table);
  AddWidth<int32_t, int64_t, uint64_t>("32", &table);
  AddWidth<int64_t, __int128, unsigned __int128>("64", &table);
  AddBits<bool>("pred", &table);
  AddIntegerConversions<uint8_t>("u8", &table);
  AddIntegerConversions<int8_t>("s8", &table);
  AddFloats<float>("f32", &table);
  AddFloats<double>("f64", &table);
  AddApproximations(&table);
  AddComparisons<float>("f32", &table);
  AddComparisons<double>("f64", &table);
  AddUnorderedComparisons<float>("f32", &table);
  AddUnorderedComparisons<double>("f64", &table);
  AddFloatToInteger<int32_t, float>("s32", "f32", &table);
  AddFloatToInteger<uint32_t, float>("u32", "f32", &table);
  AddFloatToInteger<int64_t, float>("s64", "f32", &table);
  AddFloatToInteger<int64_t, double>("s64", "f64", &table);
  table["popc.b32"] = Unary<uint32_t, [](uint32_t a) { return std::popcount(a); }>();
  return table;
}

}  // namespace

const Opcode* FindOpcode(std::string_view name) {
  static const Table table = MakeTable();
  const auto found = table.find(name);
  return found == table.end() ? nullptr : &found->second;
}

Evaluate FindAtomic(std::string_view name) {
  // What add, min, max, and, or, xor compute is the same with and without "atom".
  for (const std::string_view known : {"add.f32", "add.u32", "add.u64", "max.u32", "max.s32", "min.u32", "or.b32"}) {
    if (name == known) return FindOpcode(name)->evaluate;
  }
  if (name == "exch.b32") return [](uint64_t, uint64_t operand, uint64_t) { return operand; };
  return nullptr;
}

}  // namespace eddl::cuda_emulator
