"""Writes a check as JUnit XML, with a test case for each figure that has a limit, so that CI shows which one failed."""

from __future__ import annotations

from xml.etree import ElementTree

from hrnet_deploy.results.check import CheckResult


def junit_xml(report: CheckResult) -> bytes:
    """The XML document, in UTF-8."""
    failures = sum(not c.passed for c in report.checks)
    suite = ElementTree.Element(
        "testsuite",
        name=f"hrnet-deploy check {report.model}",
        tests=str(len(report.checks)),
        failures=str(failures),
        errors="0",
    )
    for check in report.checks:
        case = ElementTree.SubElement(
            suite, "testcase", classname=f"{report.card}.{report.engine}.{report.precision}", name=check.name
        )
        said = f"{check.value:.6g}, limit {check.limit:.6g}"
        if check.passed:
            ElementTree.SubElement(case, "system-out").text = said
        else:
            failure = ElementTree.SubElement(case, "failure", message=said)
            failure.text = f"first tensor that differs: {report.first_difference}" if report.first_difference else said
    root = ElementTree.Element("testsuites")
    root.append(suite)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
