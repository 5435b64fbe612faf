#!/usr/bin/env python3
"""What nodes of a real cluster say to Prometheus: promtool takes it, a real Prometheus scrapes it, Grafana's file uses it.

Usage: metrics_test.py PROGRAM [unittest options]     EDDL_SCRAPE_SECONDS: how long Prometheus scrapes (60)
SKIP (77) without Debian's package prometheus.
"""
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time
import unittest
import urllib.parse
import urllib.request

import cluster_case

ROOT = pathlib.Path(__file__).resolve().parents[2]
GRAFANA = ROOT / "examples/grafana_dashboard.json"
SCRAPE_SECONDS = float(os.environ.get("EDDL_SCRAPE_SECONDS", 60))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


class MetricsTest(cluster_case.ClusterCase):
    def setUp(self):
        super().setUp()
        self.write_job(epochs=1000)
        self.manager = self.manage("--dashboard", "127.0.0.1:0")
        self.targets = [self.manager.json()[0]["dashboard"]]
        for name in ("a", "b"):
            port = free_port()
            self.join(name, "--metrics", f"127.0.0.1:{port}")
            self.targets.append(f"127.0.0.1:{port}")
        self.wait_for_samples(500)

    def test_promtool_has_nothing_to_say_against_any_node(self):
        for target in self.targets:
            text = fetch(f"http://{target}/metrics")
            check = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
            self.assertEqual((check.returncode, check.stdout + check.stderr), (0, ""), target)
        self.assertIn("eddl_node_samples_total", text)

    def query(self, expression):
        url = f"http://127.0.0.1:{self.port}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        return json.loads(fetch(url))["data"]["result"]

    def test_a_real_prometheus_scrapes_the_cluster_and_the_dashboard_file_has_answers(self):
        config = self.folder / "prometheus.yml"
        config.write_text("global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: eddl\n  static_configs:\n"
                          f"  - targets: {json.dumps(self.targets)}\n")
        self.port = free_port()
        with open(self.folder / "prometheus.log", "w", encoding="utf-8") as log:
            prometheus = subprocess.Popen(
                ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={self.folder / 'tsdb'}",
                 f"--web.listen-address=127.0.0.1:{self.port}"], stdout=log, stderr=log)
        self.addCleanup(prometheus.wait)
        self.addCleanup(prometheus.terminate)
        time.sleep(SCRAPE_SECONDS)
        self.assertEqual([result["value"][1] for result in self.query("up")], ["1"] * len(self.targets),
                         (self.folder / "prometheus.log").read_text()[-2000:])
        failed = self.query(f"sum(count_over_time(up[{int(SCRAPE_SECONDS)}s]) - sum_over_time(up[{int(SCRAPE_SECONDS)}s]))")
        self.assertEqual(float(failed[0]["value"][1]), 0)
        self.assertGreater(float(self.query("sum(rate(eddl_member_samples_total[8s]))")[0]["value"][1]), 100)
        # Every query of the file: it names what is there. A temperature may be nobody's.
        expressions = [target["expr"] for panel in json.loads(GRAFANA.read_text())["panels"]
                       for target in panel.get("targets", [])]
        self.assertGreater(len(expressions), 8)
        for expression in expressions:
            if "celsius" not in expression:
                self.assertTrue(self.query(expression.replace("$__rate_interval", "8s")), expression)

    def test_the_dashboard_file_names_no_metric_that_is_not_served(self):
        named = set(re.findall(r"\b(?:eddl|process)_\w+", GRAFANA.read_text())) - {"eddl_member_temperature_celsius"}
        end = time.monotonic() + cluster_case.TIMEOUT_SECONDS
        missing = named
        # What is measured once a second, or at the end of an epoch, comes a little later.
        while missing and time.monotonic() < end:
            texts = [fetch(f"http://{target}/metrics") for target in self.targets]
            missing = named - set(re.findall(r"^# TYPE (\S+)", "".join(texts), re.MULTILINE))
            time.sleep(0.2)
        self.assertEqual(missing, set())

    def test_an_address_that_can_not_be_had_is_told(self):
        answer = self.ask("join", self.address, "--token", self.token, "--state", self.folder / "c", "--metrics",
                          self.targets[1])
        self.assertEqual(answer.returncode, 8, answer.stderr)
        self.assertIn("metrics can't be served", answer.stderr)


def load_tests(loader, _tests, _pattern):
    """Not those of the class that it is made from."""
    suite = unittest.TestSuite()
    suite.addTests(MetricsTest(name) for name in loader.getTestCaseNames(MetricsTest) if name in vars(MetricsTest))
    return suite


if __name__ == "__main__":
    cluster_case.PROGRAM = sys.argv.pop(1)
    if shutil.which("promtool") is None:
        print("SKIP: prometheus is not installed", file=sys.stderr)
        sys.exit(77)
    unittest.main(verbosity=2)
