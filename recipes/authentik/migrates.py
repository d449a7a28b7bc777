"""Boots an earlier version's image, then this one on the database that it leaves behind.

Arguments: where to write the report. What was created with the earlier version must still be there, and its user able to
log in; this version must do what it does on a database of its own.
"""

import contain
import containers
import usage


def main():
    old, new = contain.Image("/previous"), contain.Image()
    containers.database()
    containers.well(old, containers.start(old, "previous-"), "previous-")
    usage.create(usage.administrator(), "kept")
    usage.end("server", "worker", grace=containers.GRACE)
    usage.say(f"the earlier version, {version(old)}, made a database and an application in it")
    containers.well(new, containers.start(new))
    api = usage.administrator()
    usage.listed(api, "kept")
    usage.log_in()
    usage.create(api)
    usage.task(api)
    usage.end("server", "worker", grace=containers.GRACE)
    usage.end("postgres")
    usage.say(f"this version, {version(new)}, goes on with it: what was created is there, and more can be")


def version(image):
    return (image.config.get("Labels") or {}).get("org.opencontainers.image.version", "of which no label tells")


usage.drive(main)
