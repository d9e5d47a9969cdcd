"""`/metrics`: one list of names, accepted by promtool and by a real Prometheus."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import httpx

from collector.http.metrics import HTTP_METRICS
from collector.present.prometheus import METRICS, PEER_METRICS, PEER_PREFIXES, SPOOL_METRICS, STRANGERS
from tests.running import free_port
from tests.support import ROOT, program, until

BOARD = ROOT / "conf/grafana.json"
KNOWN = {*METRICS, *SPOOL_METRICS, *PEER_METRICS, *HTTP_METRICS, PEER_PREFIXES, STRANGERS}


async def test_promtool_accepts_the_metrics(http: httpx.AsyncClient) -> None:
    await http.get("/api/v1/peers")
    await http.get("/nowhere")
    await http.get("/api/v1/prefixes/10.0.0.0/8/rib")
    said = (await http.get("/metrics")).text
    done = subprocess.run([program("promtool"), "check", "metrics"], input=said, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert 'bgpledger_http_requests_total{path="/api/v1/peers",status="200"} 1.0' in said
    assert 'bgpledger_http_requests_total{path="/api/v1/prefixes/{prefix}/rib",status="200"} 1.0' in said
    assert 'bgpledger_http_requests_total{path="other",status="404"} 1.0' in said
    assert set(re.findall(r"^(bgpledger_[a-z_]+)", said, re.MULTILINE)) <= KNOWN
    assert set(re.findall(r"^# TYPE (bgpledger_[a-z_]+)", said, re.MULTILINE)) >= {
        *METRICS,
        *SPOOL_METRICS,
        *PEER_METRICS,
    }


def test_the_dashboard_queries_metrics_that_exist(tmp_path: Path) -> None:
    panels = json.loads(BOARD.read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    assert len(asked) > 8
    names = {name for expr in asked for name in re.findall(r"\bbgpledger_[a-z_]+", expr)}
    assert names <= KNOWN
    rules = [
        {"record": f"board:{number}", "expr": expr.replace("$__rate_interval", "5m").replace("$peer", ".*")}
        for number, expr in enumerate(asked)
    ]
    file = tmp_path / "board.yml"
    file.write_text(json.dumps({"groups": [{"name": "board", "rules": rules}]}))
    done = subprocess.run([program("promtool"), "check", "rules", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


async def test_a_prometheus_scrapes_them_and_its_alerts_fire(served: str, tmp_path: Path) -> None:
    listen, config = f"127.0.0.1:{free_port()}", tmp_path / "prometheus.yml"
    scrape = {"job_name": "bgpledger", "static_configs": [{"targets": [served.removeprefix("http://")]}]}
    times = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    files = [str(ROOT / "conf/alerts.yml")]
    config.write_text(json.dumps({"global": times, "rule_files": files, "scrape_configs": [scrape]}))
    command = [program("prometheus"), f"--config.file={config}", f"--web.listen-address={listen}"]
    command.append(f"--storage.tsdb.path={tmp_path / 'tsdb'}")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as prometheus:
        try:
            async with httpx.AsyncClient(base_url=f"http://{listen}/api/v1") as asking:

                async def found(path: str, **parameters: str) -> Any:
                    try:
                        return (await asking.get(path, params=parameters)).json()["data"]
                    except (httpx.TransportError, ValueError):  # it does not listen yet, or has no data yet
                        return None

                async def scraped() -> bool:
                    said = await found("/query", query="bgpledger_peer_up")
                    return bool(said and len(said["result"]) == 3)

                async def alerted() -> bool:  # no collector runs
                    said = await found("/alerts")
                    return any(one["labels"]["alertname"] == "BgpledgerDown" for one in said["alerts"])

                await until(scraped)
                await until(alerted)

                async def evaluated() -> bool:  # one rule after the other
                    (group,) = (await found("/rules"))["groups"]
                    return {rule["health"] for rule in group["rules"]} == {"ok"}

                await until(evaluated)
        finally:
            prometheus.terminate()
            prometheus.wait(120)
