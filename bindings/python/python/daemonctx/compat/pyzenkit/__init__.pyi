from . import daemonizer
from .daemonizer import daemonize, daemonize_lite, get_logger_files, read_pid, write_pid

__all__ = ["daemonize", "daemonize_lite", "daemonizer", "get_logger_files", "read_pid", "write_pid"]
