#!/usr/bin/env python3
"""Every rule of tidy.py rejects its fixture, line by line, and nothing else in it."""
import pathlib
import unittest

import tidy

FIXTURES = pathlib.Path(__file__).resolve().parent / "fixtures"


class TidyTest(unittest.TestCase):
    def test_every_rule_has_a_fixture_and_every_fixture_a_rule(self):
        self.assertEqual(sorted(tidy.RULES), sorted(folder.name for folder in FIXTURES.iterdir()))

    def test_each_rule_says_exactly_what_its_fixture_expects(self):
        for name, rule in tidy.RULES.items():
            with self.subTest(rule=name):
                expected = (FIXTURES / name / "expected").read_text().splitlines()
                violations = rule(tidy.Tree(FIXTURES / name))
                found = [f"{path}:{line}: {name}: {message}" for path, line, message in violations]
                self.assertTrue(expected)
                self.assertEqual(sorted(expected), sorted(found))


if __name__ == "__main__":
    unittest.main()
