@echo off
rem Starts the services of docker-compose.yml, waits until they are healthy, and
rem prints what to paste. Arguments go to "docker compose up".
setlocal
cd /d "%~dp0"

docker compose version >nul 2>&1
if errorlevel 1 (
  set "reason=docker compose is missing, or Docker is not running: https://docs.docker.com/desktop"
  goto give_up
)
docker compose up --detach --build %*
if errorlevel 1 (
  set "reason=a service did not start: docker compose logs SERVICE tells why"
  goto give_up
)

set left=60
:wait
docker compose exec -T orchestrator python3 /usr/lib/distro/healthy.py >nul 2>&1
if not errorlevel 1 goto ready
set /a left-=1
if %left% leq 0 (
  set "reason=the orchestrator is not ready: docker compose logs orchestrator tells why"
  goto give_up
)
rem Two seconds; "timeout" does not work where the input is not a terminal.
ping -n 3 127.0.0.1 >nul
goto wait

:ready
set "redis="
set "api="
set "dashboard="
for /f "delims=" %%a in ('docker compose port redis 6379') do set "redis=%%a"
for /f "delims=" %%a in ('docker compose port orchestrator 7000') do set "api=%%a"
for /f "delims=" %%a in ('docker compose port orchestrator 9181') do set "dashboard=%%a"
docker compose exec -T orchestrator sh /usr/lib/distro/paste.sh "%COMPUTERNAME%" "%redis%" "%api%" "%dashboard%"
set status=%errorlevel%
goto done

:give_up
echo start_distro: %reason% 1>&2
set status=1

:done
rem A window that was opened for this script stays until it was read.
echo %cmdcmdline% | findstr /i /l /c:"%~nx0" >nul
if not errorlevel 1 pause
exit /b %status%
