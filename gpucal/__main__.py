"""python -m gpucal"""

from gpucal.cli import main

if __name__ == "__main__":
    main()
