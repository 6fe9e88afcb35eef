"""Limpeza de pastas: remove arquivos que ninguém toca há muito tempo."""

import os
import tempfile
import time
from pathlib import Path

DAY = 24 * 60 * 60


def clean(folder: str = "", days: int = 30, pattern: str = "*", dry_run: bool = True) -> dict:
    """Remove de uma pasta os arquivos não modificados há mais de `days` dias.

    folder   pasta a limpar, com as subpastas; vazio: uma pasta de demonstração
    pattern  só os nomes deste padrão, como *.log
    dry_run  só mostra o que seria removido
    """
    if days < 1:
        raise ValueError("days tem que ser 1 ou mais")
    if folder:
        return _clean(Path(folder), days, pattern, dry_run)
    with tempfile.TemporaryDirectory(prefix="cleaner-") as demo:
        _fill(Path(demo))
        return _clean(Path(demo), days, pattern, dry_run)


def _clean(folder: Path, days: int, pattern: str, dry_run: bool) -> dict:
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} não é uma pasta")
    print(f"Procurando em {folder} arquivos {pattern} com mais de {days} dias")
    oldest = time.time() - days * DAY
    removed, kept, freed = [], 0, 0
    for path in sorted(folder.rglob(pattern)):
        if path.is_symlink() or not path.is_file():
            continue
        info = path.stat()
        if info.st_mtime >= oldest:
            kept += 1
            continue
        age = int((time.time() - info.st_mtime) / DAY)
        print(f"  {'seria removido' if dry_run else 'removido'}: {path.relative_to(folder)} ({age} dias, {info.st_size} bytes)")
        if not dry_run:
            path.unlink()
        removed.append(path.relative_to(folder).as_posix())
        freed += info.st_size
    print(f"{len(removed)} {'a remover' if dry_run else 'removidos'}, {kept} ficam, {freed} bytes")
    return {"removed": removed, "kept": kept, "bytes": freed, "dry_run": dry_run}


def _fill(folder: Path) -> None:
    """Cria arquivos de idades diferentes."""
    for name, age in {"hoje.log": 0, "mes-passado.log": 40, "backup/2025.zip": 400, "backup/atual.zip": 5, "notas.txt": 90}.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * (100 + age))
        then = time.time() - age * DAY
        os.utime(path, (then, then))
